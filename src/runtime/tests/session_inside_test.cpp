// SPDX-License-Identifier: Apache-2.0
// What a program inside a session sees and may do.
#include <fcntl.h>
#include <linux/keyctl.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/runtime/sandbox.hpp"
#include "session_fixture.hpp"

namespace karapace::test {
namespace {

using runtime::current_user;
using runtime::HostUser;

class Inside : public SessionTest {
 protected:
  [[nodiscard]] bool possible() const { return record_.ownership != "impossible"; }
  [[nodiscard]] Outcome run_as_root(const std::string& text) const {
    runtime::SessionRequest root = script(text);
    root.as_root = true;
    return run(root);
  }
  [[nodiscard]] static std::string home() {
    const HostUser user = current_user();
    return user.uid == 0 ? "/root" : "/home/" + user.name;
  }
};

TEST_P(Inside, YouAreYouWithoutAnyCapability) {
  if (!possible()) return;
  const HostUser user = current_user();
  EXPECT_EQ(run_script("id -u; id -g; id -un; echo $HOME; pwd").out,
            std::to_string(user.uid) + "\n" + std::to_string(user.gid) + "\n" +
                (user.uid == 0 ? "root" : user.name) + "\n" + home() + "\n" + home() + "\n");
  const std::string rights = run_script("grep -E 'Cap|NoNewPrivs' /proc/self/status | cut -f2").out;
  EXPECT_EQ(rights, std::string(5 * 17, '0')
                            .replace(16, 1, "\n")
                            .replace(33, 1, "\n")
                            .replace(50, 1, "\n")
                            .replace(67, 1, "\n")
                            .replace(84, 1, "\n") +
                        "1\n");
}

TEST_P(Inside, RootIsRootWithinBounds) {
  if (!possible()) return;
  const Outcome outcome =
      run_as_root("id -u; grep NoNewPrivs /proc/self/status | cut -f2; touch /etc/mine && echo wrote");
  EXPECT_EQ(outcome.out, "0\n1\nwrote\n");
  const std::string bounding = run_as_root("grep CapBnd /proc/self/status | cut -f2").out;
  const auto set = std::stoull(bounding, nullptr, 16);
  EXPECT_NE(set & (1ULL << 21), 0U) << "mounting in its own namespace is root's";
  EXPECT_EQ(set & (1ULL << 16), 0U) << "kernel modules are nobody's";
  EXPECT_EQ(set & (1ULL << 25), 0U) << "the clock is nobody's";
}

TEST_P(Inside, ChangingOwnersWorksForRoot) {
  if (!possible()) return;
  const Outcome outcome = run_as_root("touch /owned && chown 5:5 /owned && stat -c %u:%g /owned");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  // Flat: it succeeds and has no effect; mapped: it is real.
  EXPECT_EQ(outcome.out, GetParam() == Ownership::Flat ? "0:0\n" : "5:5\n");
}

TEST_P(Inside, NoDescriptorIsInherited) {
  if (!possible()) return;
  // Open here without O_CLOEXEC: exactly what a careless caller does.
  const int leaked = ::open("/", O_RDONLY | O_DIRECTORY);
  ASSERT_GE(leaked, 0);
  EXPECT_EQ(run_script("ls /proc/$$/fd; :").out, "0\n1\n2\n");
  ::close(leaked);
}

TEST_P(Inside, NoVariableOfTheHostGetsInUnasked) {
  if (!possible()) return;
  const std::string variables = run_script("env").out;
  EXPECT_EQ(variables.find("leaked"), std::string::npos);
  EXPECT_NE(variables.find("TERM=dumb\n"), std::string::npos);
  EXPECT_NE(variables.find("SHELL=/bin/sh\n"), std::string::npos);
  EXPECT_NE(variables.find("KARAPACE_ENV_ID=" + record_.env_id), std::string::npos);
}

TEST_P(Inside, RootCannotNameAnotherProcessAsTheHolder) {
  if (!possible()) return;
  // What `stop` signals is read from a file of the host. Through the links in /proc/1/fd root inside gets at
  // every file that the holder has open.
  const std::string record = "env/" + record_.env_id + "/run/holder";
  runtime::SessionRequest request = script(
      "for fd in /proc/1/fd/*; do echo '{\"pid\":1,\"start_time\":0}' 1<>$fd; done 2>/dev/null; echo done; "
      "cat");
  request.as_root = true;
  RunningSession session = start(request);
  EXPECT_EQ(session.read_line(), "done");
  const std::string text = read_all(open_beneath(store_.root(), record, O_RDONLY), 4096);
  EXPECT_EQ(text.find("\"start_time\":0}"), std::string::npos) << text;
  EXPECT_TRUE(status().running);
  EXPECT_EQ(session.finish().status, 0);
}

TEST_P(Inside, TheSessionKeyringStaysOutside) {
  if (!possible()) return;
  // Whom this test starts has the keyring from now on; nothing else of the program uses keys.
  ASSERT_GE(::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr), 0);
  const long key = ::syscall(SYS_add_key, "user", "karapace-secret", "s", 1, KEY_SPEC_SESSION_KEYRING);
  ASSERT_GE(key, 0);
  // Only who has a keyring that it is in can see it.
  constexpr unsigned kAllRightsOfThePossessor = 0x3f000000;
  ASSERT_EQ(::syscall(SYS_keyctl, KEYCTL_SETPERM, key, kAllRightsOfThePossessor), 0);
  ASSERT_NE(read_host_file("/proc/keys").find("karapace-secret"), std::string::npos);
  for (const bool as_root : {false, true}) {
    runtime::SessionRequest request = script("cat /proc/keys; grep Seccomp: /proc/self/status | cut -f2");
    request.as_root = as_root;
    const std::string keys = run(request).out;
    EXPECT_EQ(keys.find("karapace-secret"), std::string::npos) << keys;
    EXPECT_TRUE(keys.ends_with("2\n")) << keys;
  }
}

TEST_P(Inside, TheHostsTreeIsNotThere) {
  if (!possible()) return;
  const std::string mounts = run_as_root("cat /proc/self/mountinfo; ls /").out;
  EXPECT_EQ(mounts.find("/boot"), std::string::npos);
  EXPECT_EQ(
      run_as_root("cd /; cd ../../..; pwd; ls -d /host 2>&1 | head -n 1; umount / 2>/dev/null || echo no")
          .out.substr(0, 2),
      "/\n");
  // The old root is gone from this namespace, not just out of sight.
  EXPECT_EQ(run_as_root("cut -d ' ' -f 5 /proc/self/mountinfo | grep -c '^/$'").out, "1\n");
}

TEST_P(Inside, OnlyHarmlessDevicesExist) {
  if (!possible()) return;
  EXPECT_EQ(run_script("ls /dev").out,
            "fd\nfull\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n");
  EXPECT_EQ(run_script("echo x > /dev/null && head -c 3 /dev/zero | wc -c").out, "3\n");
  EXPECT_EQ(run_as_root("touch /sys/x 2>/dev/null || echo read-only").out, "read-only\n");
}

TEST_P(Inside, KernelSettingsCannotBeChanged) {
  if (!possible()) return;
  const std::string attempt =
      "cat /proc/sys/kernel/core_pattern > /dev/null && echo read; "
      "echo x > /proc/sys/kernel/core_pattern; echo h > /proc/sysrq-trigger; echo x > "
      "/sys/kernel/uevent_helper; :";
  const std::string before = read_host_file("/proc/sys/kernel/core_pattern");
  const Outcome outcome = run_script(attempt);
  EXPECT_EQ(outcome.out, "read\n");
  EXPECT_NE(outcome.err.find("can't create /proc/sys/kernel/core_pattern"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("can't create /proc/sysrq-trigger"), std::string::npos) << outcome.err;
  EXPECT_EQ(read_host_file("/proc/sys/kernel/core_pattern"), before);
}

TEST_P(Inside, NobodyCanWriteToKarapaceInit) {
  if (!possible()) return;
  const std::string program = runtime::find_helper("karapace-init");
  const struct stat before = stat_fd(open_path(program, O_PATH));
  EXPECT_EQ(run_as_root("echo x > /proc/1/exe").status, 1);
  EXPECT_EQ(run_script("echo x > /proc/1/exe").status, 1);
  // The attack of CVE-2019-5736: have the runtime execute itself, hold its file, and write when it is idle.
  EXPECT_NE(run(request({"/proc/self/exe"})).status, 0);
  const Outcome attack = run_as_root(
      "mkfifo /tmp/go; printf '#!/proc/self/exe\\n' > /tmp/evil; chmod +x /tmp/evil; /tmp/evil; "
      "(exec 9< /proc/1/exe; echo x > /proc/self/fd/9) 2>/dev/null && echo written");
  EXPECT_EQ(attack.out.find("written"), std::string::npos);
  const struct stat after = stat_fd(open_path(program, O_PATH));
  EXPECT_EQ(before.st_size, after.st_size);
  EXPECT_EQ(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
}

TEST_P(Inside, ALinkOfTheImageIsNotHiddenByTheMountPoints) {
  if (!possible()) return;
  EXPECT_EQ(run_script("readlink /var/run").out, "../run\n");
}

TEST_P(Inside, UsersAndNamesAreInTheEnvironmentAndNotInItsChanges) {
  if (!possible()) return;
  const Outcome outcome =
      run_script("cat /etc/hostname; hostname; grep -c localhost /etc/hosts; grep -c . /etc/passwd");
  EXPECT_TRUE(outcome.out.starts_with("karapace-eeeeeeeeeeee\nkarapace-eeeeeeeeeeee\n2\n")) << outcome.out;
  EXPECT_TRUE(list_directory(open_directory(store_.environments(), record_.env_id + "/upper")).empty());
}

TEST_P(Inside, SystemFilesBelongToRootAndHomeToYou) {
  if (!possible()) return;
  const HostUser user = current_user();
  // Flat: there is only one owner, and it is you.
  const std::string root = GetParam() == Ownership::Flat ? std::to_string(user.uid) : "0";
  EXPECT_EQ(run_script("stat -c %u / /etc /etc/passwd ~").out,
            root + "\n" + root + "\n" + root + "\n" + std::to_string(user.uid) + "\n");
}

TEST_P(Inside, APrivateHomeIsKeptAndStartsFromTheSkeleton) {
  if (!possible()) return;
  EXPECT_EQ(run_script("cat ~/.profile; echo mine > ~/file").out, "GREETING=hello\n");
  EXPECT_EQ(run_script("cat ~/file").out, "mine\n");
  runtime::SessionRequest login = request({});
  login.command.clear();
  RunningSession session = start(login);
  session.write("echo $GREETING $0\n");
  EXPECT_EQ(session.read_line(), "hello -sh");
  EXPECT_EQ(session.finish().status, 0);
}

TEST_P(Inside, AMountShowsTheProjectAndIsWhereYouStart) {
  if (!possible()) return;
  ensure_directory_at(directory_.fd(), "project/src");
  manifest_.mounts = {{"work", "./project", "/workspace", MountAccess::ReadWrite},
                      {"read", "./project", "/var/run/read", MountAccess::ReadOnly}};
  runtime::SessionRequest session =
      script("pwd; echo hi > new; echo x > /run/read/no 2>/dev/null || echo refused; id -u");
  session.manifest = manifest_;
  session.host_working_directory = directory_.path() + "/project/src";
  const Outcome outcome = run(session);
  EXPECT_EQ(outcome.out, "/workspace/src\nrefused\n" + std::to_string(current_user().uid) + "\n")
      << outcome.err;
  const struct stat made = stat_fd(open_beneath(directory_.fd(), "project/src/new", O_PATH));
  EXPECT_EQ(made.st_uid, ::geteuid()) << "what you make in your project is yours";
}

TEST_P(Inside, ALinkLeadsNoMountToWhereTheManifestMayNotMount) {
  if (!possible()) return;
  ensure_directory_at(directory_.fd(), "project");
  ASSERT_EQ(run_as_root("ln -s / /everything; ln -s /dev /devices; ln -s /run /memory").status, 0);
  for (const char* place : {"/everything", "/everything/proc/sys", "/devices", "/devices/pts"}) {
    manifest_.mounts = {{"x", "./project", place, MountAccess::ReadWrite}};
    EXPECT_THROW(static_cast<void>(prepare(script("true"))), Error) << place;
  }
  manifest_.mounts = {{"x", "./project", "/memory/project", MountAccess::ReadWrite}};
  EXPECT_EQ(run_script("ls -d /run/project").out, "/run/project\n");
}

TEST_P(Inside, AMissingMountIsAnErrorBeforeAnythingStarts) {
  if (!possible()) return;
  manifest_.mounts = {{"gone", "./no-such-directory", "/workspace", MountAccess::ReadWrite}};
  EXPECT_THROW(static_cast<void>(prepare(script("true"))), Error);
  EXPECT_FALSE(status().running);
  manifest_.mounts.clear();
  EXPECT_EQ(run_script("exit 3").status, 3);
}

TEST_P(Inside, AnIsolatedNetworkHasALoopbackAndNothingElse) {
  if (!possible()) return;
  manifest_.network_isolation = true;
  const Outcome outcome = run_script(
      "tail -n +3 /proc/net/dev | cut -d : -f 1 | tr -d ' '; (nc -l -p 7000 < /dev/null > /tmp/got &) ; "
      "until echo hi | nc 127.0.0.1 7000 2>/dev/null; do :; done; wc -c < /etc/resolv.conf");
  EXPECT_EQ(outcome.out, "lo\n0\n") << outcome.err;
}

TEST_P(Inside, AGoneHomeDoesNotLockYouOut) {
  if (!possible() || current_user().uid == 0) return;
  EXPECT_EQ(run_as_root("umount /home/* && rmdir /home/* && rmdir /home && echo x > /home").status, 0);
  EXPECT_EQ(run_script("pwd").out, "/\n");
}

class Terminal {
 public:
  Terminal() {
    winsize size{};
    size.ws_row = 33;
    size.ws_col = 101;
    int master = -1;
    int slave = -1;
    if (::openpty(&master, &slave, nullptr, nullptr, &size) != 0) throw_errno("open a terminal");
    master_ = UniqueFd(master);
    slave_ = UniqueFd(slave);
  }
  [[nodiscard]] FdRef slave() const noexcept { return slave_; }
  void type(std::string_view text) { write_all(master_, text); }
  void resize(unsigned short rows, unsigned short columns) {
    winsize size{};
    size.ws_row = rows;
    size.ws_col = columns;
    ASSERT_EQ(::ioctl(master_.get(), TIOCSWINSZ, &size), 0);
  }
  /// Everything shown until `text` was; the test fails at the end of the terminal.
  std::string read_until(std::string_view text) {
    std::string shown;
    while (shown.find(text) == std::string::npos) {
      char chunk[1024];
      const ssize_t count = ::read(master_.get(), chunk, sizeof chunk);
      if (count <= 0) {
        ADD_FAILURE() << "never saw \"" << text << "\" in: " << shown;
        break;
      }
      shown.append(chunk, static_cast<std::size_t>(count));
    }
    return shown;
  }
  [[nodiscard]] termios settings() const {
    termios result{};
    ::tcgetattr(slave_.get(), &result);
    return result;
  }

 private:
  UniqueFd master_;
  UniqueFd slave_;
};

TEST_P(Inside, ATerminalHasJobControlSizeAndEndOfFile) {
  if (!possible()) return;
  Terminal terminal;
  const termios before = terminal.settings();
  runtime::SessionRequest request = this->request({});
  request.want_terminal = true;
  ChildProcess session =
      runtime::spawn_session(store_, prepare(request), terminal.slave(), terminal.slave(), terminal.slave());
  const std::string prologue = terminal.read_until("\033\\");
  EXPECT_NE(prologue.find("\033]777;container;push;karapace-eeeeeeeeeeee;karapace;"), std::string::npos);
  terminal.type("stty size; tty; echo job-$((6 * 7))\n");
  const std::string shown = terminal.read_until("job-42");
  EXPECT_NE(shown.find("33 101"), std::string::npos) << shown;
  EXPECT_NE(shown.find("/dev/pts/0"), std::string::npos) << shown;
  EXPECT_EQ(shown.find("job control turned off"), std::string::npos) << shown;

  terminal.type("P=prompt-; PS1=\"${P}7 \"\n");
  terminal.read_until("prompt-7");
  // Ctrl-C ends the job and not the shell.
  terminal.type("sh -c 'echo started-$((1 + 1)); exec cat'\n");
  terminal.read_until("started-2");
  terminal.type("\003");
  // What is typed before the shell is back may still be read by the dying job.
  terminal.read_until("prompt-7");
  terminal.type("echo still-$((40 + 2))\n");
  terminal.read_until("still-42");

  terminal.resize(20, 60);
  session.signal(SIGWINCH);
  terminal.type("stty size; echo resized-$((1 + 1))\n");
  EXPECT_NE(terminal.read_until("resized-2").find("20 60"), std::string::npos);

  terminal.type("exit 9\n");
  EXPECT_EQ(session.wait(), 9);
  terminal.read_until("\033]777;container;pop;;\033\\");
  const termios after = terminal.settings();
  EXPECT_EQ(before.c_lflag, after.c_lflag);
  EXPECT_EQ(before.c_oflag, after.c_oflag);
}

TEST_P(Inside, TheTerminalIsRestoredWhenTheSessionIsTerminated) {
  if (!possible()) return;
  Terminal terminal;
  const termios before = terminal.settings();
  runtime::SessionRequest request = script("echo ready-$((1 + 1)); exec cat");
  request.want_terminal = true;
  ChildProcess session =
      runtime::spawn_session(store_, prepare(request), terminal.slave(), terminal.slave(), terminal.slave());
  terminal.read_until("ready-2");
  EXPECT_NE(before.c_lflag, terminal.settings().c_lflag) << "raw while it runs";
  session.signal(SIGTERM);
  EXPECT_EQ(session.wait(), 143);
  EXPECT_EQ(before.c_lflag, terminal.settings().c_lflag);
}

TEST_P(Inside, AClosedTerminalEndsTheSession) {
  if (!possible()) return;
  auto terminal = std::make_unique<Terminal>();
  runtime::SessionRequest request = this->request({});
  request.want_terminal = true;
  ChildProcess session = runtime::spawn_session(store_, prepare(request), terminal->slave(),
                                                terminal->slave(), terminal->slave());
  terminal->type("echo open-$((1 + 1))\n");
  terminal->read_until("open-2");
  terminal.reset();
  EXPECT_EQ(session.wait(), 129);
}

TEST_P(Inside, WithoutATerminalItsCommandsCannotTypeIntoYours) {
  if (!possible()) return;
  Terminal terminal;
  // Given the terminal as it is, the command still has no controlling one: TIOCSTI works on that only.
  ChildProcess session =
      runtime::spawn_session(store_, prepare(script("(: < /dev/tty) 2>/dev/null || echo none-$((1 + 1))")),
                             terminal.slave(), terminal.slave(), terminal.slave());
  terminal.read_until("none-2");
  EXPECT_EQ(session.wait(), 0);
}

INSTANTIATE_TEST_SUITE_P(Ownership, Inside, testing::Values(Ownership::Flat, Ownership::Mapped),
                         ownership_name);

}  // namespace
}  // namespace karapace::test
