// SPDX-License-Identifier: Apache-2.0
#include "error_report.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string_view>

#include "command_line.hpp"
#include "karapace/core/engine.hpp"
#include "karapace/schema/manifest.hpp"
#include "karapace/store/layout.hpp"
#include "terminal.hpp"

namespace karapace::cli {

namespace {

constexpr std::size_t kMaxLines = 40;
constexpr std::size_t kMaxLineBytes = 2000;
constexpr std::size_t kMaxJsonBytes = 64 * 1024;
constexpr std::size_t kMaxPath = 4 * 4096;  // every byte of a long one escaped

/// Lines stay lines, everything else that could drive a terminal is shown as \xNN.
std::string printable_lines(std::string_view text, std::string_view indent) {
  std::string result;
  for (std::size_t lines = 0; !text.empty(); ++lines) {
    if (lines == kMaxLines) return result + fmt::format("\n{}...", indent);
    const std::size_t end = text.find('\n');
    if (lines > 0) result += fmt::format("\n{}", indent);
    result += printable(text.substr(0, end), kMaxLineBytes);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  return result;
}

/// JSON needs UTF-8 and has its own escapes for control characters.
std::string json_text(std::string_view text) {
  return is_utf8(text) && text.size() <= kMaxJsonBytes ? std::string(text) : printable(text, kMaxJsonBytes);
}

std::string_view code_of(const Error& error) {
  // Both end with status 2; a script that reads JSON can tell a typo in its own call from a bad manifest.
  return dynamic_cast<const UsageError*>(&error) != nullptr ? "usage" : to_string(error.code());
}

std::string_view name_of(runtime::OwnedBy by) {
  switch (by) {
    case runtime::OwnedBy::List:
      return "file";
    case runtime::OwnedBy::Script:
      return "script";
    case runtime::OwnedBy::Directory:
      return "directory";
  }
  KARAPACE_ASSERT(false);
}

}  // namespace

std::string what_differs(const store::TreeChange& change) {
  if (change.kind == store::ChangeKind::Modified) return fmt::format("{}", fmt::join(change.what, ", "));
  return change.kind == store::ChangeKind::Removed ? "missing" : "not expected";
}

OrderedJson comparison_json(const core::LayerComparison& comparison) {
  OrderedJson json;
  json["kind"] = comparison.kind == store::LayerKind::Base ? "base" : "dependency";
  json["expected"] = comparison.expected;
  json["found"] = comparison.found;
  json["identical"] = comparison.expected == comparison.found;
  json["compared_with"] = comparison.with_expected ? "expected" : "another build";
  json["differences"] = OrderedJson::array();
  for (const core::FileDifference& difference : comparison.differences) {
    const store::TreeChange& change = difference.change;
    const bool modified = change.kind == store::ChangeKind::Modified;
    json["differences"].push_back(OrderedJson(
        Json{{"change", modified                                  ? "modified"
                        : change.kind == store::ChangeKind::Added ? "added"
                                                                  : "removed"},
             {"package", difference.owner ? Json(printable(difference.owner->package)) : Json(nullptr)},
             {"package_by", difference.owner ? Json(name_of(difference.owner->by)) : Json(nullptr)},
             {"path", printable(change.path, kMaxPath)},
             {"what", change.what}}));
  }
  return json;
}

OrderedJson error_document(const Error& error) {
  OrderedJson detail = {
      {"code", code_of(error)}, {"message", json_text(error.message())}, {"fix", json_text(error.fix())}};
  if (const auto* manifest = dynamic_cast<const ManifestError*>(&error)) {
    detail["file"] = json_text(manifest->file());
    detail["line"] = manifest->line();
    detail["column"] = manifest->column();
    detail["key"] = json_text(manifest->key());
  } else if (const auto* process = dynamic_cast<const ProcessError*>(&error)) {
    detail["status"] = process->status();
    detail["stderr"] = json_text(process->last_stderr());
  } else if (const auto* corrupt = dynamic_cast<const CorruptError*>(&error)) {
    detail["expected"] = json_text(corrupt->expected());
    detail["found"] = json_text(corrupt->found());
  } else if (const auto* missing = dynamic_cast<const core::MissingArtefacts*>(&error)) {
    detail["missing"] = OrderedJson::array();
    for (const runtime::Artefact& file : missing->missing()) {
      detail["missing"].push_back(OrderedJson(Json{{"label", json_text(file.label)},
                                                   {"sha256", file.sha256},
                                                   {"size", file.size},
                                                   {"url", json_text(file.url)}}));
    }
  } else if (const auto* differs = dynamic_cast<const core::LayerDiffers*>(&error)) {
    detail["layer"] = comparison_json(differs->comparison());
  } else if (const auto* format = dynamic_cast<const store::FormatError*>(&error)) {
    detail["found"] = format->found();
    detail["supported"] = store::kFormatVersion;
  }
  OrderedJson document;
  document["error"] = std::move(detail);
  return document;
}

std::string error_text(const Error& error, bool colour) {
  std::string text =
      fmt::format("{} {}\n", coloured("error:", "1;31", colour), printable_lines(error.message(), "  "));
  if (!error.fix().empty()) {
    text +=
        fmt::format("  {} {}\n", coloured("fix:", "1;32", colour), printable_lines(error.fix(), "       "));
  }
  return text;
}

}  // namespace karapace::cli
