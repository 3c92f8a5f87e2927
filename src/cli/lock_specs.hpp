// SPDX-License-Identifier: Apache-2.0
// The part of the command table that is about locks: what is in them, and bringing what they name.
#pragma once

#include "command_table.hpp"
#include "commands/commands.hpp"

namespace karapace::cli {

inline constexpr Argument kFetchArguments[] = {{.name = "manifest",
                                                .occurs = Occurs::AtMostOnce,
                                                .summary = "Manifest (default: karapace.toml)",
                                                .complete = Complete::ManifestFile}};
inline constexpr Flag kFetchFlags[] = {
    {.name = "locked", .summary = "Fail if the lock file would have to change"}};
inline constexpr Example kFetchExamples[] = {
    {"karapace fetch && karapace build --offline", "First everything that needs the network, then the rest"},
    {"karapace fetch --locked", "Exactly what the lock names, and nothing else"}};
inline constexpr CommandSpec kFetchSpec = {
    .name = "fetch",
    .summary = "Bring everything into the store that a build needs from the network",
    .description =
        "Every file that the lock names, of the base and of every package, each checked against its hash. "
        "Afterwards "
        "karapace build --offline works without network. A lock that is missing or does not fit the manifest "
        "is "
        "made first, unless --locked is given; which layer its packages give is added by the first build, "
        "and "
        "build --locked wants to know it. gc frees what no environment needs, so build before it.",
    .arguments = kFetchArguments,
    .flags = kFetchFlags,
    .examples = kFetchExamples,
    .exit_notes = "2 if the manifest, the lock file, an image or a package is at fault.",
    .run = run_fetch};

inline constexpr Argument kBundleArguments[] = {
    {.name = "action",
     .summary = "export: write a bundle; import: bring one into the store",
     .complete = Complete::Choices,
     .choices = "export import"},
    {.name = "file", .summary = "The bundle", .complete = Complete::Directory},
    {.name = "manifest",
     .occurs = Occurs::AtMostOnce,
     .summary = "export: manifest (default: karapace.toml)",
     .complete = Complete::ManifestFile}};
inline constexpr Flag kBundleFlags[] = {{.name = "lock",
                                         .value = FlagValue::Required,
                                         .value_name = "LOCK",
                                         .summary = "import: refuse a bundle whose lock is not this one",
                                         .complete = Complete::Directory},
                                        {.name = "into",
                                         .value = FlagValue::Required,
                                         .value_name = "DIR",
                                         .summary = "import: also write manifest and lock to this directory",
                                         .complete = Complete::Directory}};
inline constexpr Example kBundleExamples[] = {
    {"karapace build && karapace fetch && karapace bundle export dev.bundle",
     "Everything that karapace.lock names, in one file"},
    {"karapace bundle import dev.bundle --into . && karapace build --locked --offline",
     "On a machine without network"},
    {"karapace bundle import dev.bundle --lock karapace.lock", "Only if it is a bundle of this very lock"}};
inline constexpr CommandSpec kBundleSpec = {
    .name = "bundle",
    .summary = "Carry a lock and everything it names to a machine without network",
    .description =
        "A bundle is one file with a manifest, its lock, and every file that the lock names: the base and "
        "all "
        "packages. The same manifest and lock give the same bundle.\n\n"
        "An import checks every byte against the hashes of the lock before any of it can be found in the "
        "store, "
        "and may be killed at any time. It builds nothing: karapace build --offline does.\n\n"
        "With --lock the bundle is not trusted. A lock says nothing about runtime.home, so a manifest that "
        "wants your own home is then written by --into only where it lies already.",
    .arguments = kBundleArguments,
    .flags = kBundleFlags,
    .examples = kBundleExamples,
    .exit_notes = "2 if the bundle is damaged, incomplete or of another lock: then nothing was changed.",
    .run = run_bundle};

inline constexpr Flag kOutdatedFlags[] = {
    {.name = "check", .summary = "End with status 1 if something would move"}};
inline constexpr Example kOutdatedExamples[] = {
    {"karapace outdated", "What karapace build --update would move, and from which version to which"},
    {"karapace outdated --check || karapace build --update", "Update only where there is something newer"}};
inline constexpr CommandSpec kOutdatedSpec = {
    .name = "outdated",
    .summary = "Show what a new resolution would move: name, locked version, available version",
    .description =
        "Asks the package archives as karapace build --update does, on the base of the lock, and changes "
        "neither the lock nor an environment. The lock must fit the manifest.",
    .arguments = kFetchArguments,
    .flags = kOutdatedFlags,
    .examples = kOutdatedExamples,
    .exit_notes =
        "0 whether something is outdated or not; with --check 1 if something is. 2 if the manifest, "
        "the lock file, an image or a package is at fault.",
    .run = run_outdated};

inline constexpr Flag kPinFlags[] = {
    {.name = "check", .summary = "Change nothing; end with status 1 unless base.image names its bytes"},
    {.name = "write-lock", .summary = "Also resolve the packages and write the lock file"}};
inline constexpr Example kPinExamples[] = {
    {"karapace pin", "oci:debian:12 becomes oci:docker.io/library/debian:12@sha256:..."},
    {"karapace pin --check", "In CI: the manifest alone says which bytes the base is"}};
inline constexpr CommandSpec kPinSpec = {
    .name = "pin",
    .summary = "Write to the manifest which bytes its base is",
    .description =
        "Replaces base.image by a name with a digest and leaves every other byte of the manifest as it is. "
        "A lock that fits the manifest decides which bytes; otherwise what the name means now. A base that "
        "is made of packages (debian/12), or a local one, has no such name: only a lock pins it, and "
        "--write-lock writes that. The first build adds to such a lock which layer its packages give.",
    .arguments = kFetchArguments,
    .flags = kPinFlags,
    .examples = kPinExamples,
    .exit_notes =
        "1 if the base has no name that pins it, or with --check if it is not pinned. 2 if the "
        "manifest, the lock file, an image or a package is at fault.",
    .run = run_pin};

inline constexpr Argument kExplainArguments[] = {
    {.name = "a",
     .summary = "An environment, a lock file (X.lock) or a manifest (X.toml)",
     .complete = Complete::Environment},
    {.name = "b", .summary = "What to compare it with", .complete = Complete::Environment}};
inline constexpr Example kExplainExamples[] = {
    {"karapace explain dev karapace.lock", "Why the environment dev is not what the lock describes"},
    {"karapace explain old.lock new.lock --json", "The same of two locks, for a script"},
    {"karapace explain karapace.toml karapace.lock", "What the next build has to resolve"}};
inline constexpr CommandSpec kExplainSpec = {
    .name = "explain",
    .summary = "Show which inputs make two environments, locks or manifests different",
    .description =
        "Every difference is shown with the least that explains it: a package that only another one needs "
        "stands under that one, the packages of another image stand under the image, and a new version is "
        "not shown with the hash that follows from it. What does not move the identity (mirrors, results) "
        "comes last.\n\n"
        "Of a manifest only what it says is compared.",
    .arguments = kExplainArguments,
    .flags = {},
    .examples = kExplainExamples,
    .exit_notes = "0 also if they differ.",
    .run = run_explain};

inline constexpr Argument kSbomArguments[] = {
    {.name = "what",
     .occurs = Occurs::AtMostOnce,
     .summary = "An environment, a lock file (X.lock) or a manifest with its lock beside it (default: "
                "karapace.lock)",
     .complete = Complete::Environment}};
inline constexpr Flag kSbomFlags[] = {{.name = "format",
                                       .value = FlagValue::Required,
                                       .value_name = "FORMAT",
                                       .summary = "spdx (SPDX 2.3, the default) or cyclonedx (CycloneDX 1.5)",
                                       .complete = Complete::Choices,
                                       .choices = "spdx cyclonedx"}};
inline constexpr Example kSbomExamples[] = {
    {"karapace sbom > dev.spdx.json", "What karapace.lock in this directory names, as SPDX"},
    {"karapace sbom dev --format cyclonedx", "The same of the environment dev, as CycloneDX"}};
inline constexpr CommandSpec kSbomSpec = {
    .name = "sbom",
    .summary = "Print what an environment consists of as a software bill of materials",
    .description =
        "The base and every package with version, architecture, sha256, source and package URL, as JSON. All "
        "of it comes from the lock: no network is used, and the same lock gives the same bytes anywhere and "
        "at any time. What was written in an environment after it was built is not part of it.",
    .arguments = kSbomArguments,
    .flags = kSbomFlags,
    .examples = kSbomExamples,
    .exit_notes = {},
    .run = run_sbom};

inline constexpr Argument kVerifyEnvArguments[] = {
    {.name = "env",
     .occurs = Occurs::AtMostOnce,
     .summary = "Environment; without it, the one that karapace.toml in the current directory describes",
     .complete = Complete::Environment}};
inline constexpr Flag kVerifyEnvFlags[] = {
    {.name = "rebuild", .summary = "Build the layers once more from the lock, and compare with those"},
    {.name = "keep",
     .value = FlagValue::Required,
     .value_name = "DIR",
     .summary = "With --rebuild: put both versions of files that differ into DIR",
     .complete = Complete::Directory}};
inline constexpr Example kVerifyEnvExamples[] = {
    {"karapace verify-env dev", "Is what dev consists of what was built?"},
    {"karapace verify-env --rebuild dev", "Does the lock of dev still give the same bytes?"},
    {"karapace verify-env --rebuild dev --keep diff",
     "And what exactly is different in the files that differ?"}};
inline constexpr CommandSpec kVerifyEnvSpec = {
    .name = "verify-env",
    .summary = "Compare the layers of an environment with their digests, or with a second build",
    .description =
        "Every file of the base and of the packages is read and compared with the digest in the lock. With "
        "--rebuild both layers are built from the lock once more, beside those that are there, and compared: "
        "files that "
        "differ are named with what differs (content, mode, owner, xattrs, target, links, type, opaque; "
        "times "
        "do not count) and with the package that they belong to. Of a file that no package lists it is the "
        "one whose "
        "scripts name it.\n\n"
        "The environment is not changed and may be in use. Nothing is left behind, apart from package files "
        "that "
        "had to be downloaded; what the store has is not downloaded.",
    .arguments = kVerifyEnvArguments,
    .flags = kVerifyEnvFlags,
    .examples = kVerifyEnvExamples,
    .exit_notes = "1 if the second build gave other layers; 3 if a file is not what was built.",
    .run = run_verify_env};

}  // namespace karapace::cli
