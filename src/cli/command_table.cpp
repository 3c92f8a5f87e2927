// SPDX-License-Identifier: Apache-2.0
#include "command_table.hpp"

#include <algorithm>

#include "commands/commands.hpp"
#include "lock_specs.hpp"
#include "snapshot_specs.hpp"

namespace karapace::cli {

namespace {

constexpr std::string_view kTemplateChoices = "minimal dev gui-dev rust-dev ubuntu-dev debian-dev";
constexpr std::string_view kShellChoices = "bash elvish fish powershell zsh";
constexpr std::string_view kEnvironmentHelp =
    "Environment: name, id, short id or unique prefix of 4 or more digits";
constexpr std::string_view kOptionalEnvironmentHelp =
    "Environment: name, id, short id or unique prefix of 4 or more digits; without it, the one that "
    "karapace.toml in the current directory describes";

constexpr Flag kGlobalFlags[] = {
    {.name = "store",
     .value = FlagValue::Required,
     .value_name = "PATH",
     .summary = "Keep everything below PATH (default: $KARAPACE_STORE, else ~/.local/share/karapace)",
     .complete = Complete::Directory},
    {.name = "json", .summary = "Print one JSON document on standard output, for errors too"},
    {.name = "verbose", .short_name = 'v', .summary = "Log on standard error what is being done"},
    {.name = "trace", .summary = "Log in every detail"},
    {.name = "help", .short_name = 'h', .summary = "Print help and exit"},
    {.name = "version", .short_name = 'V', .summary = "Print the version and exit"},
};

constexpr Argument kEnvironment[] = {
    {.name = "env", .summary = kEnvironmentHelp, .complete = Complete::Environment}};
constexpr Argument kOptionalEnvironment[] = {{.name = "env",
                                              .occurs = Occurs::AtMostOnce,
                                              .summary = kOptionalEnvironmentHelp,
                                              .complete = Complete::Environment}};

// new
constexpr Argument kNewArguments[] = {
    {.name = "name", .summary = "Name for the environment; also shown as the argument of the first build"}};
constexpr Flag kNewFlags[] = {
    {.name = "template",
     .value = FlagValue::Required,
     .value_name = "TEMPLATE",
     .summary =
         "Start from a template instead of asking: minimal, dev, gui-dev, rust-dev, ubuntu-dev, debian-dev",
     .complete = Complete::Choices,
     .choices = kTemplateChoices},
    {.name = "force", .summary = "Replace a karapace.toml that is already there"},
};
constexpr Example kNewExamples[] = {
    {"karapace new dev --template debian-dev", "Write karapace.toml for a Debian with compilers and git"},
    {"karapace new dev", "Answer a few questions instead"},
};

// build, rebuild
constexpr Argument kBuildArguments[] = {{.name = "manifest",
                                         .occurs = Occurs::AtMostOnce,
                                         .summary = "Manifest to build (default: karapace.toml)",
                                         .complete = Complete::ManifestFile}};
constexpr Flag kBuildFlags[] = {
    {.name = "name",
     .value = FlagValue::Required,
     .value_name = "NAME",
     .summary = "Name of the environment: 1 to 64 letters, digits, '-' and '_'"},
    {.name = "locked",
     .summary =
         "Fail if the lock file would have to change, also where it lacks only the digest of the layer "
         "that its packages give"},
    {.name = "offline",
     .summary = "Open no network connection: everything must be in the lock and in the store"},
    {.name = "require-pinned-image", .summary = "Fail unless base.image names its bytes (digest or sha256)"},
    {.name = "update",
     .value = FlagValue::Optional,
     .value_name = "PKG,...",
     .summary = "Resolve anew instead of keeping what is locked; with =PKG,... only these packages. May be "
                "repeated"},
    {.name = "timings", .summary = "Show how long each step took"},
};
constexpr Example kBuildExamples[] = {
    {"karapace build --name dev", "Build karapace.toml and call the environment dev"},
    {"karapace build --locked --offline", "Reproduce exactly what the lock says, without network"},
    {"karapace build --update=git,curl", "Take newer versions of git and curl, and keep everything else"},
};
constexpr Example kRebuildExamples[] = {
    {"karapace rebuild", "Build karapace.toml; the old environment goes when the new one is complete"},
    {"karapace rebuild --update", "The same with the newest packages"},
};

// enter, exec
constexpr Argument kExecArguments[] = {
    {.name = "env",
     .occurs = Occurs::AtMostOnce,
     .summary = kOptionalEnvironmentHelp,
     .complete = Complete::Environment},
    {.name = "command",
     .occurs = Occurs::CommandLine,
     .summary = "Program to run and its arguments. Put -- in front if <env> is left out"}};
constexpr Argument kEnterArguments[] = {
    {.name = "env",
     .occurs = Occurs::AtMostOnce,
     .summary = kOptionalEnvironmentHelp,
     .complete = Complete::Environment},
    {.name = "command", .occurs = Occurs::CommandLine, .summary = "Program to run instead of a login shell"}};
constexpr Flag kSessionFlags[] = {
    {.name = "root", .summary = "Be root inside (not on the host)"},
    {.name = "tty",
     .short_name = 't',
     .summary = "Give the program a terminal of its own even if a stream is redirected"},
    {.name = "no-tty", .short_name = 'T', .summary = "Pass the streams through as they are"},
    {.name = "explain", .summary = "Print as JSON what would be set up, and run nothing"},
};
constexpr Example kEnterExamples[] = {
    {"karapace enter dev", "Open a shell in dev; a second one shares the same live system"},
    {"karapace enter", "The same for karapace.toml in this directory"},
    {"karapace enter --root dev", "A root shell, for example to look around with apt"},
};
constexpr Example kExecExamples[] = {
    {"karapace exec dev -- make -j8", "Run one program; its exit status is the exit status of this command"},
    {"echo hi | karapace exec dev -- cat", "Streams are passed through unchanged"},
    {"karapace exec -- python3 -V", "In the environment of karapace.toml in this directory"},
};

// stop, inspect, destroy, rename
constexpr Flag kStopFlags[] = {{.name = "grace",
                                .value = FlagValue::Required,
                                .value_name = "SECONDS",
                                .summary = "Time between SIGTERM and SIGKILL (default: 5)"}};
constexpr Example kStopExamples[] = {
    {"karapace stop dev", "Ask every program in dev to end, and end it after 5 seconds"},
    {"karapace stop dev --grace 0", "End them at once"},
};
constexpr Example kListExamples[] = {
    {"karapace list", "A table for people"},
    {"karapace list --json | jq -r '.[].name'", "Names for a script"},
};
constexpr Example kInspectExamples[] = {{"karapace inspect dev", "Show the record of dev"}};
constexpr Flag kDestroyFlags[] = {{.name = "yes", .short_name = 'y', .summary = "Do not ask"}};
constexpr Example kDestroyExamples[] = {
    {"karapace destroy dev", "Delete dev and everything written in it; asks on a terminal"},
    {"karapace destroy --yes dev", "The same without asking"},
};
constexpr Argument kRenameArguments[] = {
    {.name = "env", .summary = kEnvironmentHelp, .complete = Complete::Environment},
    {.name = "new_name", .summary = "1 to 64 letters, digits, '-' and '_'; unique in the store"}};
constexpr Example kRenameExamples[] = {{"karapace rename dev work", "Call dev work from now on"}};

constexpr Example kFreezeExamples[] = {
    {"karapace freeze dev", "From now on nothing in dev changes; it can still be entered"}};
constexpr Example kThawExamples[] = {{"karapace thaw dev", "Let dev be written to again"}};
constexpr Example kArchiveExamples[] = {
    {"karapace archive dev", "Keep dev for later in as little space as it takes"}};
constexpr Example kUnarchiveExamples[] = {{"karapace unarchive dev", "Make dev ready to be entered again"}};
constexpr Example kMigrateExamples[] = {{"karapace migrate", "Bring a store of format 1 to format 2"}};
constexpr Flag kGcFlags[] = {
    {.name = "dry-run", .summary = "Show what would be freed, to the byte, and change nothing"},
    {.name = "discard-lost", .summary = "Also what was written in environments that have no record any more"},
    {.name = "yes", .short_name = 'y', .summary = "Do not ask before discarding"}};
constexpr Example kGcExamples[] = {
    {"karapace gc --dry-run", "See what no environment and no snapshot needs"},
    {"karapace gc", "Free it"},
};
constexpr Example kDoctorExamples[] = {{"karapace doctor", "Check this machine and the store"}};
constexpr Flag kVerifyFlags[] = {
    {.name = "repair", .summary = "Heal what has a source: trees, objects, or where a package came from"}};
constexpr Example kVerifyExamples[] = {
    {"karapace verify-store", "Read everything back and compare it with its digest"},
    {"karapace verify-store --repair", "The same, and heal what can be healed"}};

// completions, man-pages, help
constexpr Argument kCompletionsArguments[] = {{.name = "shell",
                                               .summary = "bash, elvish, fish, powershell or zsh",
                                               .complete = Complete::Choices,
                                               .choices = kShellChoices}};
constexpr Example kCompletionsExamples[] = {
    {"karapace completions bash > ~/.local/share/bash-completion/completions/karapace", "Install for bash"},
    {"karapace completions fish > ~/.config/fish/completions/karapace.fish", "Install for fish"},
};
constexpr Argument kManPagesArguments[] = {{.name = "dir",
                                            .occurs = Occurs::AtMostOnce,
                                            .summary = "Directory to write to (default: man)",
                                            .complete = Complete::Directory}};
constexpr Example kManPagesExamples[] = {
    {"karapace man-pages /tmp/man && man /tmp/man/karapace.1", "Read the manual"}};
constexpr Argument kHelpArguments[] = {{.name = "command",
                                        .occurs = Occurs::AtMostOnce,
                                        .summary = "Command to explain",
                                        .complete = Complete::CommandName}};
constexpr Example kHelpExamples[] = {{"karapace help build", "The same as karapace build --help"}};

constexpr std::string_view kSessionExit =
    "The exit status of the program; 128+n if signal n ended it. Failures of Karapace itself: 125; 126 if "
    "the "
    "program cannot be executed; 127 if there is no such program.";
constexpr std::string_view kBuildExit =
    "2 if the manifest, the lock file, an image or a package is at fault: then nothing was changed.";

constexpr CommandSpec kCommands[] = {
    {.name = "new",
     .summary = "Write a karapace.toml to start from",
     .description = "Writes karapace.toml in the current directory, from a template or from your answers. A "
                    "file that is "
                    "already there stays unless you agree or pass --force.",
     .arguments = kNewArguments,
     .flags = kNewFlags,
     .examples = kNewExamples,
     .exit_notes = {},
     .run = run_new},
    {.name = "build",
     .summary = "Build the environment that a manifest describes",
     .description =
         "Resolves what the manifest asks for, pins the base and every package by hash in the "
         "lock file beside it "
         "(karapace.toml -> karapace.lock), fetches, installs without network and seals the "
         "result. A lock that still "
         "fits is used as it is; only what is new is resolved. Same lock, same bytes.\n\n"
         "Building something that is built already takes no work and no network.\n\n"
         "base.image is a name (debian/12, ubuntu/24.04, fedora/41, arch), images:NAME of the Linux "
         "Containers server, oci:HOST/NAME:TAG or oci:HOST/NAME@sha256:DIGEST of a registry, "
         "oci-layout:DIR, oci-archive:FILE, rootfs:PATH of a tarball or directory, or "
         "URL#sha256=HEX.",
     .arguments = kBuildArguments,
     .flags = kBuildFlags,
     .examples = kBuildExamples,
     .exit_notes = kBuildExit,
     .run = run_build},
    {.name = "rebuild",
     .summary = "Build and replace the environment this manifest had before",
     .description =
         "Builds first, as build does: layers that the store has are taken and not made again, and without a "
         "change there is nothing to do. karapace verify-env --rebuild is what makes layers again. Only when "
         "the new environment is complete does it take over the name, the "
         "home and the snapshots of the old one, which is then destroyed. What was not committed "
         "there becomes one more snapshot; restore brings it back, with the packages it was on.",
     .arguments = kBuildArguments,
     .flags = kBuildFlags,
     .examples = kRebuildExamples,
     .exit_notes = kBuildExit,
     .run = run_rebuild},
    {.name = "enter",
     .summary = "Open a shell in an environment",
     .description =
         "Starts your login shell inside, or the given command. The first session starts the environment, "
         "later "
         "ones join it; it ends with the last one. The session starts in the current directory where that is "
         "mounted, else in your home inside.",
     .arguments = kEnterArguments,
     .flags = kSessionFlags,
     .examples = kEnterExamples,
     .exit_notes = kSessionExit,
     .run = run_enter},
    {.name = "exec",
     .summary = "Run one program in an environment",
     .description = "Standard input, output and error, signals and the exit status pass through unchanged. "
                    "Words from the "
                    "program on belong to it, whatever they look like.",
     .arguments = kExecArguments,
     .flags = kSessionFlags,
     .examples = kExecExamples,
     .exit_notes = kSessionExit,
     .run = run_exec},
    {.name = "stop",
     .summary = "End every session of an environment",
     .description =
         "Sends SIGTERM to everything inside, waits, then sends SIGKILL. Nothing that was written is lost.",
     .arguments = kOptionalEnvironment,
     .flags = kStopFlags,
     .examples = kStopExamples,
     .exit_notes = "1 if the environment is not running.",
     .run = run_stop},
    {.name = "list",
     .summary = "List the environments in the store",
     .description =
         "One line per environment, sorted by id. Records that cannot be read are named on standard error.",
     .arguments = {},
     .flags = {},
     .examples = kListExamples,
     .exit_notes = {},
     .run = run_list},
    {.name = "inspect",
     .summary = "Show everything that is recorded about an environment",
     .description = {},
     .arguments = kOptionalEnvironment,
     .flags = {},
     .examples = kInspectExamples,
     .exit_notes = {},
     .run = run_inspect},
    kFetchSpec,
    kBundleSpec,
    kOutdatedSpec,
    kPinSpec,
    kExplainSpec,
    kSbomSpec,
    kDiffSpec,
    kCommitSpec,
    kSnapshotsSpec,
    kRestoreSpec,
    kExportSpec,
    {.name = "destroy",
     .summary = "Delete an environment and everything written in it",
     .description =
         "Layers that other environments share stay. A running environment is refused: stop it first. On a "
         "terminal the command asks; in a script it does not.",
     .arguments = kEnvironment,
     .flags = kDestroyFlags,
     .examples = kDestroyExamples,
     .exit_notes = "1 if you answer no, or if the environment is running.",
     .run = run_destroy},
    {.name = "rename",
     .summary = "Give an environment another name",
     .description = {},
     .arguments = kRenameArguments,
     .flags = {},
     .examples = kRenameExamples,
     .exit_notes = "2 if the name is not valid, 1 if it is taken.",
     .run = run_rename},
    {.name = "freeze",
     .summary = "Protect an environment from every change",
     .description =
         "Sessions in a frozen environment see everything and can write nothing: neither the system "
         "nor the home of the environment. A commit or restore is still possible, thaw undoes "
         "it, and so does a build of its manifest.",
     .arguments = kEnvironment,
     .flags = {},
     .examples = kFreezeExamples,
     .exit_notes = "1 if a session is open in it, or if it is not built.",
     .run = run_freeze},
    {.name = "thaw",
     .summary = "Let a frozen environment be written to again",
     .description = {},
     .arguments = kEnvironment,
     .flags = {},
     .examples = kThawExamples,
     .exit_notes = "1 if a session is open in it, or if it is not frozen.",
     .run = run_thaw},
    {.name = "archive",
     .summary = "Put an environment away, with everything written in it",
     .description =
         "What was written becomes a snapshot, and only the contents of files are kept; directories that no "
         "other "
         "environment needs go. An archived environment cannot be entered. unarchive brings it back, and so "
         "does a build of its manifest.",
     .arguments = kEnvironment,
     .flags = {},
     .examples = kArchiveExamples,
     .exit_notes = "1 if a session is open in it, or if it is not built.",
     .run = run_archive},
    {.name = "unarchive",
     .summary = "Make an archived environment ready to be entered again",
     .description = {},
     .arguments = kEnvironment,
     .flags = {},
     .examples = kUnarchiveExamples,
     .exit_notes = {},
     .run = run_unarchive},
    {.name = "gc",
     .summary = "Free what no environment and no snapshot needs",
     .description =
         "Environments, their snapshots, running sessions and unfinished operations keep what they need; all "
         "other layers, objects, packages and build records go, and what crashes left behind. Nothing goes "
         "that "
         "cannot be proven unneeded: if a record cannot be read, everything it may name stays, and the "
         "command "
         "says which record it is. What somebody wrote in an environment whose record is gone stays and is "
         "named, until --discard-lost is given; on a terminal that asks.\n\n"
         "Waits until no other command is using the store. Ctrl-C ends it between two steps; what is "
         "left is for the next run.",
     .arguments = {},
     .flags = kGcFlags,
     .examples = kGcExamples,
     .exit_notes =
         "3 if something was kept because the store is damaged; 1 if something could not be removed.",
     .run = run_gc},
    {.name = "doctor",
     .summary = "Check whether this machine can build and run environments",
     .description =
         "Tries what Karapace needs instead of reading version numbers, and names the knob for each failure. "
         "Changes nothing.",
     .arguments = {},
     .flags = {},
     .examples = kDoctorExamples,
     .exit_notes = "1 if a check fails.",
     .run = run_doctor},
    kVerifyEnvSpec,
    {.name = "verify-store",
     .summary = "Check every byte in the store against its digest",
     .description =
         "Hashes objects, layers, trees and records again and checks every reference between "
         "them. Changes nothing, unless --repair is given: then an object is taken from a tree that has "
         "the same bytes or fetched again, a tree is laid out from its objects, a layer's record is "
         "made from its tree, and a damaged build record is dropped. What is left is named with the "
         "environments that it affects.",
     .arguments = {},
     .flags = kVerifyFlags,
     .examples = kVerifyExamples,
     .exit_notes = "3 if anything is damaged or missing.",
     .run = run_verify_store},
    {.name = "migrate",
     .summary = "Bring a store of an older format to this program's",
     .description =
         "Copies every file that will change to a backup in the store, rewrites the records and changes the "
         "version "
         "last. If it is interrupted, run it again. A store of a newer format is refused. Objects and layers "
         "stay as they are.",
     .arguments = {},
     .flags = {},
     .examples = kMigrateExamples,
     .exit_notes = "1 if the store is newer; 3 if its version cannot be read. Then nothing was changed.",
     .run = run_migrate},
    {.name = "completions",
     .summary = "Print the completion script for a shell",
     .description = {},
     .arguments = kCompletionsArguments,
     .flags = {},
     .examples = kCompletionsExamples,
     .exit_notes = {},
     .run = run_completions},
    {.name = "man-pages",
     .summary = "Write the manual pages",
     .description = "Writes karapace.1 and one page per command, and prints the directory.",
     .arguments = kManPagesArguments,
     .flags = {},
     .examples = kManPagesExamples,
     .exit_notes = {},
     .run = run_man_pages},
    {.name = "help",
     .summary = "Explain Karapace or one of its commands",
     .description = {},
     .arguments = kHelpArguments,
     .flags = {},
     .examples = kHelpExamples,
     .exit_notes = {},
     .run = run_help},
    {.name = "__complete-envs",
     .summary = "Names and short ids of environments, one per line",
     .description = {},
     .arguments = {},
     .flags = {},
     .examples = {},
     .exit_notes = {},
     .run = run_complete_envs,
     .audience = Audience::Completions},
};

constexpr ExitStatusNote kExitStatus[] = {
    {"0", "Success; also when whoever read the output went away"},
    {"1", "General failure"},
    {"2", "Wrong usage, or the manifest, the lock file, an image or a package is at fault"},
    {"3", "The store is damaged or of another format"},
    {"125, 126, 127",
     "Only enter and exec: Karapace failed; the program cannot be executed; it does not exist"},
    {"128+n", "Signal n ended the command (130: Ctrl-C)"},
};

constexpr VariableNote kVariables[] = {
    {"KARAPACE_STORE", "Where everything is kept, unless --store says otherwise"},
    {"KARAPACE_LOG", "error, warn, info, debug or trace; wins over -v and --trace"},
    {"NO_COLOR", "If set and not empty: no colours"},
    {"XDG_DATA_HOME", "The store is $XDG_DATA_HOME/karapace (default: ~/.local/share/karapace)"},
};

}  // namespace

bool CommandSpec::starts_a_program() const noexcept {
  return !arguments.empty() && arguments.back().occurs == Occurs::CommandLine;
}

std::span<const CommandSpec> commands() noexcept { return kCommands; }

std::span<const Flag> global_flags() noexcept { return kGlobalFlags; }

const CommandSpec* find_command(std::string_view name) noexcept {
  const auto found = std::ranges::find(kCommands, name, &CommandSpec::name);
  return found == std::end(kCommands) ? nullptr : &*found;
}

std::span<const ExitStatusNote> exit_status_notes() noexcept { return kExitStatus; }

std::span<const VariableNote> variable_notes() noexcept { return kVariables; }

}  // namespace karapace::cli
