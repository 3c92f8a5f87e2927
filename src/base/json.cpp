// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "karapace/base/error.hpp"

template class nlohmann::basic_json<>;
template class nlohmann::basic_json<nlohmann::ordered_map>;

namespace karapace {
namespace {

constexpr std::int64_t kMaxInteger = (std::int64_t{1} << 53) - 1;

/// Builds the value from the parser's events, so that depth and keys are checked while reading, before memory
/// was spent. nlohmann's parser does not recurse.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(std::size_t max_depth) : max_depth_(max_depth) {}

  [[nodiscard]] const std::string& problem() const { return problem_; }
  [[nodiscard]] Json take() { return std::move(root_); }

  bool null() override { return add(Json(nullptr)) != nullptr; }
  bool boolean(bool value) override { return add(Json(value)) != nullptr; }
  bool number_integer(number_integer_t value) override { return add(Json(value)) != nullptr; }
  bool number_unsigned(number_unsigned_t value) override { return add(Json(value)) != nullptr; }
  bool number_float(number_float_t value, const string_t& /*text*/) override {
    return add(Json(value)) != nullptr;
  }
  bool string(string_t& value) override { return add(Json(std::move(value))) != nullptr; }
  bool binary(binary_t& /*value*/) override { return refuse("binary values are not JSON"); }
  bool start_object(std::size_t /*elements*/) override { return open(Json::object()); }
  bool start_array(std::size_t /*elements*/) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    auto* object = stack_.back()->get_ptr<Json::object_t*>();
    const auto [place, added] = object->try_emplace(name);
    if (!added) return refuse(fmt::format("the key \"{}\" is there twice", printable(name)));
    slot_ = &place->second;
    return true;
  }

  bool parse_error(std::size_t /*position*/, const std::string& /*token*/,
                   const nlohmann::detail::exception& error) override {
    const std::string_view text = error.what();
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ...": the tag means nothing to a
    // user.
    const auto tag = text.find("] ");
    return refuse(printable(tag == std::string_view::npos ? text : text.substr(tag + 2), 400));
  }

 private:
  bool refuse(std::string problem) {
    problem_ = std::move(problem);
    return false;
  }

  Json* add(Json value) {
    Json* place = slot_;
    slot_ = nullptr;
    if (place == nullptr && stack_.empty()) place = &root_;
    if (place != nullptr) {
      *place = std::move(value);
      return place;
    }
    auto* array = stack_.back()->get_ptr<Json::array_t*>();
    return &array->emplace_back(std::move(value));
  }

  // A container stays where it is until it is closed: only the innermost one grows.
  bool open(Json container) {
    if (stack_.size() >= max_depth_) return refuse(fmt::format("nested deeper than {} levels", max_depth_));
    stack_.push_back(add(std::move(container)));
    return true;
  }

  bool close() {
    stack_.pop_back();
    return true;
  }

  std::size_t max_depth_;
  Json root_;
  std::vector<Json*> stack_;
  Json* slot_ = nullptr;  // where the value of the key that was just read belongs
  std::string problem_;
};

/// RFC 8785 sorts by UTF-16 code units. Bytes of UTF-8 give the same order but for characters above U+FFFF,
/// whose surrogates (D800..DFFF) come before U+E000..U+FFFF.
bool utf16_less(const std::string& a, const std::string& b) {
  const auto [x, y] = std::ranges::mismatch(a, b);
  if (x == a.end() || y == b.end()) return x == a.end() && y != b.end();
  const auto rank = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0xF0U) return 0xEDU * 2 + 1;  // between U+D7FF (ED ..) and U+E000 (EE ..)
    return byte * 2U;
  };
  return rank(*x) < rank(*y) ||
         (rank(*x) == rank(*y) && static_cast<unsigned char>(*x) < static_cast<unsigned char>(*y));
}

void append_string(std::string& out, const std::string& text) {
  if (!is_utf8(text))
    throw Error(ErrorCode::InvalidInput,
                fmt::format("\"{}\" is not UTF-8 and cannot be JSON", printable(text)));
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20U) {
          out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

void append_canonical(std::string& out, const Json& value);

void append_object(std::string& out, const Json::object_t& object) {
  std::vector<const Json::object_t::value_type*> members;
  members.reserve(object.size());
  for (const auto& member : object) members.push_back(&member);
  std::ranges::sort(members, [](const auto* a, const auto* b) { return utf16_less(a->first, b->first); });
  out += '{';
  for (const auto* member : members) {
    if (out.back() != '{') out += ',';
    append_string(out, member->first);
    out += ':';
    append_canonical(out, member->second);
  }
  out += '}';
}

void append_canonical(std::string& out, const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      out += "null";
      return;
    case Json::value_t::boolean:
      out += value.get<bool>() ? "true" : "false";
      return;
    case Json::value_t::number_integer:
      KARAPACE_ASSERT(value.get<std::int64_t>() >= -kMaxInteger && value.get<std::int64_t>() <= kMaxInteger);
      out += fmt::format("{}", value.get<std::int64_t>());
      return;
    case Json::value_t::number_unsigned:
      KARAPACE_ASSERT(value.get<std::uint64_t>() <= static_cast<std::uint64_t>(kMaxInteger));
      out += fmt::format("{}", value.get<std::uint64_t>());
      return;
    case Json::value_t::string:
      append_string(out, value.get_ref<const std::string&>());
      return;
    case Json::value_t::object:
      append_object(out, value.get_ref<const Json::object_t&>());
      return;
    case Json::value_t::array: {
      out += '[';
      bool first = true;
      for (const Json& element : value) {
        if (!first) out += ',';
        first = false;
        append_canonical(out, element);
      }
      out += ']';
      return;
    }
    case Json::value_t::number_float:
    case Json::value_t::binary:
    case Json::value_t::discarded:
      break;
  }
  KARAPACE_ASSERT(false && "only what RFC 8785 writes in one way for us");
}

}  // namespace

Json parse_json(std::string_view text, std::string_view what, const JsonLimits& limits) {
  const auto refuse = [&](std::string_view problem) {
    throw Error(ErrorCode::InvalidInput, fmt::format("{} is not valid JSON: {}", what, problem));
  };
  if (text.size() > limits.max_bytes) refuse(fmt::format("it is larger than {} bytes", limits.max_bytes));
  // The parser would skip it, and the bytes would no longer be those that somebody hashed.
  if (text.starts_with("\xEF\xBB\xBF")) refuse("it begins with a byte order mark");
  // The parser takes it for the end of the text and would not look at the rest.
  if (text.find('\0') != std::string_view::npos) refuse("it has a NUL byte");
  Builder builder(limits.max_depth);
  if (!Json::sax_parse(text, &builder)) refuse(builder.problem());
  return builder.take();
}

std::string canonical_json(const Json& value) {
  std::string out;
  append_canonical(out, value);
  return out;
}

std::string pretty_json(const OrderedJson& value) {
  try {
    return value.dump(2);
  } catch (const OrderedJson::exception& error) {
    throw Error(ErrorCode::InvalidInput,
                fmt::format("cannot be written as JSON: {}", printable(error.what(), 400)));
  }
}

}  // namespace karapace
