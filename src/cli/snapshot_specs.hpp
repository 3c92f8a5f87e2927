// SPDX-License-Identifier: Apache-2.0
// The part of the command table that is about what was written in an environment.
#pragma once

#include "command_table.hpp"
#include "commands/commands.hpp"

namespace karapace::cli {

inline constexpr std::string_view kSnapshotEnvironmentHelp =
    "Environment: name, id, short id or unique prefix of 4 or more digits";
inline constexpr Argument kSnapshotEnvironment[] = {
    {.name = "env", .summary = kSnapshotEnvironmentHelp, .complete = Complete::Environment}};
inline constexpr Argument kSnapshotOptionalEnvironment[] = {
    {.name = "env",
     .occurs = Occurs::AtMostOnce,
     .summary = "Environment; without it, the one that karapace.toml in the current directory describes",
     .complete = Complete::Environment}};

inline constexpr Flag kCommitFlags[] = {{.name = "message",
                                         .short_name = 'm',
                                         .value = FlagValue::Required,
                                         .value_name = "TEXT",
                                         .summary = "What this snapshot is, for the list"}};
inline constexpr Example kCommitExamples[] = {
    {"karapace commit dev -m 'before the upgrade'", "Keep everything that was written in dev"}};
inline constexpr Example kSnapshotsExamples[] = {
    {"karapace snapshots dev", "Newest last; an asterisk marks the one dev stands on"}};
inline constexpr Argument kRestoreArguments[] = {
    {.name = "env", .summary = kSnapshotEnvironmentHelp, .complete = Complete::Environment},
    {.name = "snapshot",
     .summary = "Id of a snapshot, a unique beginning of 4 or more digits, or its layer"}};
inline constexpr Flag kRestoreFlags[] = {
    {.name = "discard",
     .summary = "Lose what was not committed, instead of keeping it in a snapshot of its own"},
    {.name = "yes", .short_name = 'y', .summary = "Do not ask before discarding"}};
inline constexpr Example kRestoreExamples[] = {
    {"karapace restore dev 3fa9c1", "Make dev what it was; what was not committed becomes a snapshot first"},
    {"karapace restore --discard dev 3fa9c1", "The same, and forget what was not committed"}};

inline constexpr Argument kExportArguments[] = {
    {.name = "what", .summary = "An environment or a snapshot", .complete = Complete::Environment}};
inline constexpr Flag kExportFlags[] = {
    {.name = "output",
     .short_name = 'o',
     .value = FlagValue::Required,
     .value_name = "PATH",
     .summary = "Where to: a directory that is empty or not there, or a file that ends in .tar"},
    {.name = "delta",
     .summary = "Only what the snapshot changed, deletions as in an OCI layer; needs a .tar file"}};
inline constexpr Example kExportExamples[] = {
    {"karapace export dev --output dev.tar", "Everything that dev shows, also what was not committed"},
    {"karapace export 3fa9c1 --output ./tree", "A snapshot as a directory"}};
inline constexpr CommandSpec kExportSpec = {
    .name = "export",
    .summary = "Write the files of an environment or a snapshot to a directory or an archive",
    .description =
        "The merged tree: base, packages, snapshots, and for an environment what was not committed. An "
        "archive "
        "is PAX and can be "
        "the base of another manifest: image = \"rootfs:./dev.tar\". Nothing that exists is replaced.",
    .arguments = kExportArguments,
    .flags = kExportFlags,
    .examples = kExportExamples,
    .exit_notes = {},
    .run = run_export};
inline constexpr Example kDiffExamples[] = {
    {"karapace diff dev", "What was written in dev since the last commit"},
    {"karapace diff dev --json | jq -r '.modified[]'", "Names for a script"}};
inline constexpr CommandSpec kDiffSpec = {
    .name = "diff",
    .summary = "Show what was written in an environment since the last commit",
    .description =
        "Compares content, type, mode, owner, link target and extended attributes with what lies below: the "
        "last snapshot, or what "
        "was built. Times do not count. Works while the environment runs. On a terminal the list goes "
        "through "
        "$PAGER.",
    .arguments = kSnapshotOptionalEnvironment,
    .flags = {},
    .examples = kDiffExamples,
    .exit_notes = {},
    .run = run_diff};
inline constexpr CommandSpec kCommitSpec = {
    .name = "commit",
    .summary = "Keep what was written in an environment as a snapshot",
    .description =
        "What was written since the last commit becomes a layer: it is moved, not copied, and files that "
        "the store has "
        "already take no space. The environment goes on above it. Every session must have ended.",
    .arguments = kSnapshotOptionalEnvironment,
    .flags = kCommitFlags,
    .examples = kCommitExamples,
    .exit_notes = "0 also if there was nothing to commit.",
    .run = run_commit};
inline constexpr CommandSpec kSnapshotsSpec = {.name = "snapshots",
                                               .summary = "List the snapshots of an environment",
                                               .description = {},
                                               .arguments = kSnapshotOptionalEnvironment,
                                               .flags = {},
                                               .examples = kSnapshotsExamples,
                                               .exit_notes = {},
                                               .run = run_snapshots};
inline constexpr CommandSpec kRestoreSpec = {
    .name = "restore",
    .summary = "Make an environment what it was at a snapshot",
    .description =
        "Takes milliseconds at any size. What was not committed is kept in a snapshot of its own first, "
        "unless --discard is "
        "given; on a terminal that asks. Every session must have ended. A snapshot that was taken on another "
        "base "
        "or on other packages brings those back, too; the next build returns to what the lock says.",
    .arguments = kRestoreArguments,
    .flags = kRestoreFlags,
    .examples = kRestoreExamples,
    .exit_notes = "2 if the beginning of an id fits several snapshots.",
    .run = run_restore};

}  // namespace karapace::cli
