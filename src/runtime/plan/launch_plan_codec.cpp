// SPDX-License-Identifier: Apache-2.0
// The plan as bytes: fixed-width little-endian numbers and length-prefixed strings, in declared order, behind
// a version mark. One list of fields per structure serves both directions, so they cannot drift apart.
// Everything has exactly one encoding; decode refuses any other.
#include <bit>
#include <cstring>
#include <type_traits>

#include "karapace/base/error.hpp"
#include "karapace/runtime/plan/launch_plan.hpp"

namespace karapace::runtime {
namespace {

constexpr std::string_view kMagic = "KPLAN-1\n";
constexpr std::size_t kMaxBytes = 64 * 1024 * 1024;

static_assert(std::endian::native == std::endian::little, "the plan never leaves the machine");

[[noreturn]] void malformed(const char* what) {
  throw Error(ErrorCode::InvalidInput, std::string("malformed launch plan: ") + what);
}

class Encoder {
 public:
  explicit Encoder(std::string& out) : out_(out) {}

  template <typename T>
  requires std::is_integral_v<T>
  void value(const T& number) { out_.append(reinterpret_cast<const char*>(&number), sizeof number); }
  void value(const bool& flag) { out_.push_back(flag ? '\1' : '\0'); }
  void value(const std::string& text) {
    value(length(text.size()));
    out_.append(text);
  }
  template <typename T>
  requires std::is_enum_v<T>
  void choice(const T& chosen, T /*last*/) { value(static_cast<std::uint8_t>(chosen)); }
  template <typename T, typename Each>
  void list(const std::vector<T>& items, Each&& each) {
    value(length(items.size()));
    for (const T& item : items) each(item);
  }
  template <typename T, typename Each>
  void optional(const std::optional<T>& item, Each&& each) {
    value(item.has_value());
    if (item) each(*item);
  }

 private:
  static std::uint32_t length(std::size_t size) {
    if (size > kMaxBytes) throw Error(ErrorCode::InvalidInput, "the launch plan is larger than 64 MiB");
    return static_cast<std::uint32_t>(size);
  }

  std::string& out_;
};

class Decoder {
 public:
  explicit Decoder(std::string_view rest) : rest_(rest) {}

  template <typename T>
  requires std::is_integral_v<T>
  void value(T& number) {
    const std::string_view bytes = take(sizeof number);
    std::memcpy(&number, bytes.data(), sizeof number);
  }
  void value(bool& flag) {
    const char byte = take(1).front();
    if (byte != '\0' && byte != '\1') malformed("a flag is neither 0 nor 1");
    flag = byte == '\1';
  }
  void value(std::string& text) { text = take(length()); }
  template <typename T>
  requires std::is_enum_v<T>
  void choice(T& chosen, T last) {
    std::uint8_t number = 0;
    value(number);
    if (number > static_cast<std::uint8_t>(last)) malformed("an unknown choice");
    chosen = static_cast<T>(number);
  }
  template <typename T, typename Each>
  void list(std::vector<T>& items, Each&& each) {
    // Every item takes at least a byte, so a count beyond what is left is a lie; nothing is reserved for it.
    const std::size_t count = length();
    if (count > rest_.size()) malformed("a list is longer than the plan");
    items.clear();
    for (std::size_t i = 0; i < count; ++i) each(items.emplace_back());
  }
  template <typename T, typename Each>
  void optional(std::optional<T>& item, Each&& each) {
    bool present = false;
    value(present);
    item.reset();
    if (present) each(item.emplace());
  }
  [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }

 private:
  std::string_view take(std::size_t size) {
    if (size > rest_.size()) malformed("it ends too early");
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }
  std::size_t length() {
    std::uint32_t size = 0;
    value(size);
    return size;
  }

  std::string_view rest_;
};

// The lists of fields. `Plan` is const for the encoder.

template <typename Codec, typename Strings>
void strings(Codec& codec, Strings& items) {
  codec.list(items, [&](auto& item) { codec.value(item); });
}

template <typename Codec, typename Pairs>
void pairs(Codec& codec, Pairs& items) {
  codec.list(items, [&](auto& item) {
    codec.value(item.first);
    codec.value(item.second);
  });
}

template <typename Codec, typename Extents>
void extents(Codec& codec, Extents& items) {
  codec.list(items, [&](auto& extent) {
    codec.value(extent.inside);
    codec.value(extent.outside);
    codec.value(extent.count);
  });
}

template <typename Codec, typename Step>
void mount_step(Codec& codec, Step& step) {
  codec.choice(step.kind, MountKind::File);
  codec.value(step.source);
  codec.value(step.target);
  codec.value(step.read_only);
  codec.value(step.recursive);
  codec.value(step.no_exec);
  codec.value(step.allow_devices);
  codec.value(step.create_target);
  codec.value(step.optional);
  codec.value(step.mode);
  codec.value(step.options);
  codec.value(step.uid);
  codec.value(step.gid);
  codec.value(step.source_fd);
}

template <typename Codec, typename Environment>
void environment_plan(Codec& codec, Environment& environment) {
  extents(codec, environment.ids.uids);
  extents(codec, environment.ids.gids);
  codec.value(environment.ids.use_helpers);
  codec.optional(environment.nested_user, [&](auto& user) {
    codec.value(user.uid);
    codec.value(user.gid);
  });
  codec.value(environment.isolate_network);
  codec.value(environment.hostname);
  codec.optional(environment.root, [&](auto& root) {
    strings(codec, root.lowers);
    codec.value(root.upper);
    codec.value(root.work);
    codec.value(root.adopt_from);
    codec.value(root.adopt_to);
  });
  codec.list(environment.mounts, [&](auto& step) { mount_step(codec, step); });
}

template <typename Codec, typename Process>
void process_plan(Codec& codec, Process& process) {
  strings(codec, process.argv);
  strings(codec, process.login_shells);
  pairs(codec, process.environment);
  strings(codec, process.working_directories);
  codec.value(process.uid);
  codec.value(process.gid);
  codec.value(process.nested_user_namespace);
  codec.value(process.drop_all_capabilities);
  codec.value(process.no_new_privileges);
  codec.value(process.emulate_ownership);
  codec.list(process.seccomp_filter, [&](auto& byte) { codec.value(byte); });
  codec.choice(process.terminal, TerminalMode::Pty);
  codec.value(process.terminal_prologue);
  codec.value(process.terminal_epilogue);
  codec.value(process.umask);
  pairs(codec, process.limits_reserved);
  codec.list(process.keep_fds, [&](auto& fd) { codec.value(fd); });
}

template <typename Codec, typename Plan>
void launch_plan(Codec& codec, Plan& plan) {
  codec.choice(plan.mode, LaunchMode::Join);
  codec.value(plan.env_id);
  environment_plan(codec, plan.environment);
  process_plan(codec, plan.process);
  codec.value(plan.store_root_fd);
  codec.value(plan.sessions_lock_fd);
  codec.value(plan.start_lock_fd);
  codec.value(plan.run_dir_fd);
  codec.value(plan.holder_pidfd);
  codec.value(plan.status_fd);
}

}  // namespace

std::string encode_plan(const LaunchPlan& plan) {
  std::string out(kMagic);
  out.reserve(4096);
  Encoder encoder(out);
  launch_plan(encoder, plan);
  if (out.size() > kMaxBytes) throw Error(ErrorCode::InvalidInput, "the launch plan is larger than 64 MiB");
  return out;
}

LaunchPlan decode_plan(std::string_view bytes) {
  if (bytes.size() > kMaxBytes) malformed("it is larger than 64 MiB");
  if (!bytes.starts_with(kMagic)) malformed("it does not begin with its version mark");
  Decoder decoder(bytes.substr(kMagic.size()));
  LaunchPlan plan;
  launch_plan(decoder, plan);
  if (!decoder.at_end()) malformed("something follows its end");
  return plan;
}

}  // namespace karapace::runtime
