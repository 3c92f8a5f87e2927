// SPDX-License-Identifier: Apache-2.0
#include "session_fixture.hpp"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "karapace/base/error.hpp"
#include "karapace/runtime/sandbox.hpp"
#include "karapace/store/metadata.hpp"

namespace karapace::test {
namespace {

constexpr const char* kBusybox = "/bin/busybox";
constexpr const char* kApplets[] = {
    "sh",   "cat",      "chown",  "date",  "dd",       "df",    "echo",  "env",    "grep",  "head",
    "id",   "kill",     "ln",     "ls",    "mkdir",    "mknod", "mount", "nc",     "ping",  "ps",
    "pwd",  "readlink", "rm",     "rmdir", "sleep",    "stat",  "stty",  "tail",   "touch", "tr",
    "true", "tty",      "umount", "wc",    "hostname", "cut",   "sort",  "mkfifo", "yes",   "chmod"};

void make_base(FdRef trees, const std::string& name) {
  for (const char* directory :
       {"", "/bin", "/etc", "/etc/skel", "/home", "/root", "/var", "/usr", "/proc", "/dev", "/run", "/tmp"})
    make_directory_at(trees, name + directory, 0755);
  const std::string program = read_all(open_path(kBusybox, O_RDONLY), 16 * 1024 * 1024);
  UniqueFd busybox = open_beneath(trees, name + "/bin/busybox", O_WRONLY | O_CREAT | O_EXCL, 0755);
  write_all(busybox, program);
  ASSERT_EQ(::fchmod(busybox.get(), 0755), 0);
  busybox.close();
  for (const char* applet : kApplets) symlink_at("busybox", trees, name + "/bin/" + applet);
  // As in real images: the policy directory must not hide this link.
  symlink_at("../run", trees, name + "/var/run");
  const auto file = [&](const std::string& path, std::string_view content) {
    UniqueFd opened = open_beneath(trees, name + path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    write_all(opened, content);
    opened.close();
  };
  file("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
  file("/etc/group", "root:x:0:\ntty:x:5:\n");
  file("/etc/skel/.profile", "GREETING=hello\n");
}

std::string read_to_end(const UniqueFd& fd) { return read_all(fd, 256 * 1024 * 1024); }

}  // namespace

RunningSession::RunningSession(const store::StoreLayout& store, runtime::PreparedSession session)
    : RunningSession(store, std::move(session), Pipes{}) {}

RunningSession::RunningSession(const store::StoreLayout& store, runtime::PreparedSession session, Pipes pipes)
    : input_(std::move(pipes.in.write_end)),
      output_(std::move(pipes.out.read_end)),
      errors_(std::move(pipes.err.read_end)),
      process_(runtime::spawn_session(store, std::move(session), pipes.in.read_end, pipes.out.write_end,
                                      pipes.err.write_end)) {}

std::string RunningSession::read_line() {
  for (;;) {
    const std::size_t end = buffered_.find('\n');
    if (end != std::string::npos) {
      std::string line = buffered_.substr(0, end);
      buffered_.erase(0, end + 1);
      return line;
    }
    char chunk[4096];
    const ssize_t count = ::read(output_.get(), chunk, sizeof chunk);
    if (count <= 0) {
      ADD_FAILURE() << "the session ended early: " << read_to_end(errors_);
      return std::exchange(buffered_, {});
    }
    buffered_.append(chunk, static_cast<std::size_t>(count));
  }
}

std::string RunningSession::read_rest() { return std::exchange(buffered_, {}) + read_to_end(output_); }

void RunningSession::write(std::string_view text) { write_all(input_, text); }

Outcome RunningSession::finish() {
  input_.reset();
  Outcome outcome;
  outcome.out = read_rest();
  outcome.err = read_to_end(errors_);
  outcome.status = process_.wait();
  return outcome;
}

int RunningSession::wait_open() {
  read_rest();
  return process_.wait();
}

SessionTest::SessionTest() : store_(store::StoreLayout::open_or_create(directory_.path() + "/store")) {}

void SessionTest::SetUp() {
  if (GetParam() == Ownership::Mapped) {
    try {
      static_cast<void>(runtime::make_id_maps(Ownership::Mapped));
    } catch (const Error& error) {
      // For a user without ranges this is the promise: a clear error that names both ways out.
      EXPECT_EQ(error.code(), ErrorCode::Unsupported);
      EXPECT_NE(error.fix().find("flat"), std::string::npos);
      record_.ownership = "impossible";
      return;
    }
  }
  record_.env_id = std::string(32, 'e') + std::string(32, '1');
  record_.short_id = record_.env_id.substr(0, 12);
  record_.name = "test";
  record_.state = store::EnvState::Built;
  record_.base_layer = std::string(64, 'b');
  record_.manifest_hash = std::string(64, 'c');
  record_.lock_hash = std::string(64, 'd');
  record_.created_at = record_.updated_at = "2026-01-01T00:00:00+00:00";
  record_.ownership = to_string(GetParam());
  make_base(store_.trees(), record_.base_layer);
  make_directory_at(store_.environments(), record_.env_id, 0700);
  put_record();
}

SessionTest::~SessionTest() {
  if (record_.env_id.empty()) return;
  // Nothing of a failed test may stay behind.
  try {
    runtime::stop_sessions(store_, record_.env_id, std::chrono::milliseconds(0));
  } catch (const Error& error) {
    ADD_FAILURE() << error.what();
  }
}

void SessionTest::put_record() const { store::MetadataStore(store_).put(record_); }

runtime::SessionRequest SessionTest::request(std::vector<std::string> command) const {
  runtime::SessionRequest request;
  request.record = record_;
  request.manifest = manifest_;
  request.manifest_directory = directory_.path();
  request.command = std::move(command);
  request.host_environment = {{"TERM", "dumb"}, {"SECRET_TOKEN", "leaked"}, {"SSH_AUTH_SOCK", "leaked"}};
  request.host_working_directory = "/";
  return request;
}

runtime::SessionRequest SessionTest::script(const std::string& text) const {
  return request({"sh", "-c", text});
}

runtime::PreparedSession SessionTest::prepare(const runtime::SessionRequest& request) const {
  return runtime::prepare_session(store_, request);
}

RunningSession SessionTest::start(const runtime::SessionRequest& request) const {
  return RunningSession(store_, prepare(request));
}

Outcome SessionTest::run(const runtime::SessionRequest& request) const { return start(request).finish(); }

runtime::SessionStatus SessionTest::status() const { return runtime::session_status(store_, record_.env_id); }

std::string ownership_name(const testing::TestParamInfo<Ownership>& parameter) {
  return std::string(to_string(parameter.param));
}

bool is_running(pid_t pid) {
  const std::string stat = read_host_file("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t name_end = stat.rfind(')');
  return name_end != std::string::npos && stat.size() > name_end + 2 && stat[name_end + 2] != 'Z';
}

std::string read_host_file(const std::string& path) {
  try {
    return read_all(open_path(path, O_RDONLY), 16 * 1024 * 1024);
  } catch (const SystemError&) {
    return {};
  }
}

}  // namespace karapace::test
