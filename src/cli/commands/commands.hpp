// SPDX-License-Identifier: Apache-2.0
// One function per command, each in the file of its name. They return the exit status and throw
// karapace::Error.
#pragma once

namespace karapace::cli {

class Invocation;

int run_new(const Invocation& invocation);
int run_build(const Invocation& invocation);
int run_rebuild(const Invocation& invocation);
int run_enter(const Invocation& invocation);
int run_exec(const Invocation& invocation);
int run_stop(const Invocation& invocation);
int run_list(const Invocation& invocation);
int run_inspect(const Invocation& invocation);
int run_destroy(const Invocation& invocation);
int run_rename(const Invocation& invocation);
int run_export(const Invocation& invocation);
int run_explain(const Invocation& invocation);
int run_fetch(const Invocation& invocation);
int run_bundle(const Invocation& invocation);
int run_outdated(const Invocation& invocation);
int run_pin(const Invocation& invocation);
int run_sbom(const Invocation& invocation);
int run_diff(const Invocation& invocation);
int run_commit(const Invocation& invocation);
int run_snapshots(const Invocation& invocation);
int run_restore(const Invocation& invocation);
int run_freeze(const Invocation& invocation);
int run_thaw(const Invocation& invocation);
int run_archive(const Invocation& invocation);
int run_unarchive(const Invocation& invocation);
int run_migrate(const Invocation& invocation);
int run_gc(const Invocation& invocation);
int run_doctor(const Invocation& invocation);
int run_verify_env(const Invocation& invocation);
int run_verify_store(const Invocation& invocation);
int run_completions(const Invocation& invocation);
int run_man_pages(const Invocation& invocation);
int run_help(const Invocation& invocation);
int run_complete_envs(const Invocation& invocation);

}  // namespace karapace::cli
