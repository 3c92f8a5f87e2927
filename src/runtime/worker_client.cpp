// SPDX-License-Identifier: Apache-2.0
// The side of karapace-worker that asks: one request, one process, one user namespace.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>

#include "karapace/base/clock.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/fault.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/json.hpp"
#include "karapace/runtime/sandbox.hpp"
#include "karapace/runtime/worker.hpp"
#include "karapace/store/byte_text.hpp"
#include "karapace/store/object_store.hpp"
#include "worker/large_answer.hpp"

namespace karapace::runtime {
namespace {

constexpr std::size_t kMaxIndex = 1024UL * 1024 * 1024;
// Above everything that karapace-init uses for itself.
constexpr int kFirstPassedFd = 64;

UniqueFd duplicate_high(FdRef fd) {
  const int copy = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, kFirstPassedFd);
  if (copy < 0) throw_errno("duplicate a descriptor");
  return UniqueFd(copy);
}

ErrorCode code_named(std::string_view name) {
  using enum ErrorCode;
  constexpr std::array kCodes = {InvalidInput, NotFound,         AlreadyExists, Conflict,
                                 Busy,         PermissionDenied, Unsupported,   Corrupt,
                                 NoSpace,      Unavailable,      External,      Internal};
  const auto found = std::ranges::find(kCodes, name, [](ErrorCode code) { return to_string(code); });
  return found == kCodes.end() ? Internal : *found;
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// "@step name<TAB>detail", "@at done total unit", "@note text"; see worker/main.cpp.
void forward_progress(std::string_view line, ProgressSink& progress) {
  const auto take = [&line](std::string_view prefix) {
    if (!line.starts_with(prefix)) return false;
    line.remove_prefix(prefix.size());
    return true;
  };
  if (take("@step ")) {
    const auto tab = std::min(line.find('\t'), line.size());
    progress.step(line.substr(0, tab), line.substr(std::min(tab + 1, line.size())));
  } else if (take("@at ")) {
    const auto first = std::min(line.find(' '), line.size());
    const auto second = std::min(line.find(' ', first + 1), line.size());
    progress.advance(number(line.substr(0, first)), number(line.substr(first + 1, second - first - 1)),
                     line.substr(std::min(second + 1, line.size())));
  } else if (take("@note ")) {
    progress.note(line);
  }
}

/// Flat trees are all ours, so nearly always our own rights are enough, and a worker takes milliseconds to
/// start. Nothing if they were not: what `body` began must be begun anew inside the user namespace.
template <typename Body>
auto try_own_rights(Ownership ownership, Body&& body) -> std::optional<decltype(body())> {
  if (ownership != Ownership::Flat) return std::nullopt;
  try {
    return body();
  } catch (const SystemError& error) {
    if (error.error_number() != EACCES && error.error_number() != EPERM) throw;
    return std::nullopt;
  }
}

Json files_as_json(const std::vector<std::pair<std::string, std::string>>& files) {
  Json json = Json::array();
  for (const auto& [path, content] : files) json.push_back({path, content});
  return json;
}

Json bundle_as_json(const std::vector<TreeWorker::BundleFile>& files) {
  Json json = Json::array();
  for (const TreeWorker::BundleFile& file : files) json.push_back({file.sha256, file.size, file.label});
  return json;
}

std::string_view to_string(Normalise normalise) {
  switch (normalise) {
    case Normalise::None:
      return "none";
    case Normalise::Base:
      return "base";
    case Normalise::Layer:
      return "layer";
  }
  KARAPACE_ASSERT(false);
  return {};
}

Json seal_request(std::string_view verb, const SealRequest& request) {
  return {{"verb", verb},
          {"staging", request.staging_path},
          {"name", request.name},
          {"lowers", request.lowers},
          {"what", request.kind == store::LayerKind::Base ? "base image" : "dependency layer"},
          {"normalise", to_string(request.normalise)},
          {"files", files_as_json(request.files)}};
}

struct PassedFd {
  const char* key;  // in the request
  FdRef fd;
};

Json ask(const store::StoreLayout& store, Ownership ownership, Json request, const std::vector<PassedFd>& fds,
         ProgressSink& progress, CancelToken& cancel) {
  require_open_files();  // before descriptors get numbers above the limit
  BuildSandbox sandbox;
  sandbox.ownership = ownership;
  sandbox.argv = {find_helper("karapace-worker")};
  sandbox.environment = fault::environment();
  sandbox.environment.emplace_back("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
  LaunchPlan plan = make_build_plan(sandbox);
  // The worker knows what a flat tree cannot have, and it must really make whiteouts, which are device nodes.
  plan.process.emulate_ownership = false;
  plan.process.seccomp_filter.clear();
  std::vector<UniqueFd> kept;
  const auto pass = [&](const char* key, FdRef fd) {
    kept.push_back(duplicate_high(fd));
    request[key] = kept.back().get();
    plan.process.keep_fds.push_back(kept.back().get());
  };
  pass("store_fd", store.root());
  for (const PassedFd& passed : fds) pass(passed.key, passed.fd);
  request["flat"] = ownership == Ownership::Flat;
  const RunResult result =
      run_sandboxed(store, plan, request.dump(-1, ' ', false, Json::error_handler_t::replace), {}, cancel,
                    [&](std::string_view line) { forward_progress(line, progress); });
  if (result.out.empty()) throw ProcessError("karapace-worker", result.status, result.err);
  const Json answer = parse_json(result.out, "answer of karapace-worker", {.max_bytes = 64 * 1024 * 1024});
  if (answer.contains("error")) {
    const Json& error = answer.at("error");
    throw Error(code_named(error.value("code", "")), error.value("message", ""), error.value("fix", ""));
  }
  if (result.status != 0) throw ProcessError("karapace-worker", result.status, result.err);
  return answer.at("result");
}

/// For answers that are too large for JSON.
UniqueFd nameless_file(FdRef directory) {
  const std::string name = std::string(kTemporaryPrefix) + random_hex(12);
  UniqueFd file = open_beneath(directory, name, O_RDWR | O_CREAT | O_EXCL, 0600);
  unlink_at(directory, name);
  return file;
}

std::string read_from_start(FdRef file) {
  if (::lseek(file.get(), 0, SEEK_SET) < 0) throw_errno("read the worker's answer");
  return read_all(file, kMaxIndex);
}

}  // namespace

TreeWorker::TreeWorker(const store::StoreLayout& store, Ownership ownership)
    : store_(store), ownership_(ownership) {}

Digest TreeWorker::seal(const SealRequest& request, ProgressSink& progress, CancelToken& cancel) {
  const Json sealed = ask(store_, ownership_, seal_request("seal", request), {}, progress, cancel);
  // The worker may have other ids than we do, so the records are ours to write.
  const UniqueFd staging = store_.open_dir(request.staging_path);
  const std::string index = read_file_at(staging, request.name + ".index", kMaxIndex);
  const std::string mtimes = read_file_at(staging, request.name + ".mtimes", kMaxIndex);
  store::LayerRecord record;
  record.hash = Digest::parse(sealed.at("hash").get<std::string>());
  record.kind = request.kind;
  record.index_object = hash_bytes(index);
  record.mtimes_object = hash_bytes(mtimes);
  record.ownership = std::string(karapace::to_string(ownership_));
  record.entries = sealed.at("entries").get<std::uint64_t>();
  record.bytes = sealed.at("bytes").get<std::uint64_t>();
  KARAPACE_ASSERT(record.index_object == record.hash);
  store::LayerStore(store_).put(record, index, mtimes);
  return record.hash;
}

DescribedLayer TreeWorker::describe(const SealRequest& request, ProgressSink& progress, CancelToken& cancel) {
  const Json described = ask(store_, ownership_, seal_request("describe", request), {}, progress, cancel);
  return {.hash = Digest::parse(described.at("hash").get<std::string>()),
          .index_path = fmt::format("{}/{}.index", request.staging_path, request.name)};
}

void TreeWorker::unpack(FdRef archive, const std::string& staging_path, const std::string& name,
                        ProgressSink& progress, CancelToken& cancel, const std::string& expected_sha256) {
  ask(store_, ownership_,
      {{"verb", "unpack"},
       {"staging", staging_path},
       {"name", name},
       {"sha256", expected_sha256},
       {"layer", false}},
      {{"archive_fd", archive}}, progress, cancel);
}

void TreeWorker::unpack_layer(FdRef archive, const std::string& staging_path, const std::string& name,
                              ProgressSink& progress, CancelToken& cancel,
                              const std::string& expected_sha256) {
  ask(store_, ownership_,
      {{"verb", "unpack"},
       {"staging", staging_path},
       {"name", name},
       {"sha256", expected_sha256},
       {"layer", true}},
      {{"archive_fd", archive}}, progress, cancel);
}

void TreeWorker::copy_tree(const std::string& host_directory, const std::string& staging_path,
                           const std::string& name, ProgressSink& progress, CancelToken& cancel) {
  const UniqueFd source = open_path(host_directory, O_RDONLY | O_DIRECTORY);
  // Flat: the caller's one id is seen as 0 inside. Mapped: it is seen as itself.
  const bool flat = ownership_ == Ownership::Flat;
  ask(store_, ownership_,
      {{"verb", "copy"},
       {"staging", staging_path},
       {"name", name},
       {"uid", flat ? 0U : ::geteuid()},
       {"gid", flat ? 0U : ::getegid()}},
      {{"source_fd", source}}, progress, cancel);
}

Digest TreeWorker::tree_digest(const std::string& staging_path, const std::string& name,
                               CancelToken& cancel) {
  const Json answer = ask(store_, ownership_, {{"verb", "digest"}, {"staging", staging_path}, {"name", name}},
                          {}, no_progress(), cancel);
  return Digest::parse(answer.at("hash").get<std::string>());
}

std::string TreeWorker::sha256(FdRef file, CancelToken& cancel) {
  return ask(store_, ownership_, {{"verb", "sha256"}}, {{"archive_fd", file}}, no_progress(), cancel)
      .at("sha256")
      .get<std::string>();
}

void TreeWorker::write_bundle(const std::vector<BundleFile>& files, FdRef output, ProgressSink& progress,
                              CancelToken& cancel) {
  ask(store_, ownership_, {{"verb", "write_bundle"}, {"files", bundle_as_json(files)}},
      {{"output_fd", output}}, progress, cancel);
}

void TreeWorker::read_bundle(FdRef bundle, std::uint64_t offset, const std::vector<BundleFile>& files,
                             const std::string& staging_path, ProgressSink& progress, CancelToken& cancel) {
  ask(store_, ownership_,
      {{"verb", "read_bundle"},
       {"offset", offset},
       {"files", bundle_as_json(files)},
       {"staging", staging_path}},
      {{"archive_fd", bundle}}, progress, cancel);
}

std::vector<std::map<std::string, std::string>> TreeWorker::archive_texts(
    const std::string& directory, const std::vector<std::string>& files,
    const std::vector<std::string>& wanted, CancelToken& cancel) {
  const Json answer =
      ask(store_, ownership_,
          {{"verb", "archive_texts"}, {"directory", directory}, {"files", files}, {"wanted", wanted}}, {},
          no_progress(), cancel);
  std::vector<std::map<std::string, std::string>> archives;
  for (const Json& texts : answer.at("archives")) {
    auto& archive = archives.emplace_back();
    for (const auto& [name, text] : texts.items())
      archive.emplace(name, store::hex_to_bytes(text.get<std::string>()));
  }
  return archives;
}

std::optional<std::string> TreeWorker::rpm_descriptions(const std::string& directory,
                                                        const std::vector<std::string>& names,
                                                        CancelToken& cancel) {
  const Json answer =
      ask(store_, ownership_, {{"verb", "rpm_descriptions"}, {"directory", directory}, {"names", names}}, {},
          no_progress(), cancel);
  if (!answer.contains("text")) return std::nullopt;
  return store::hex_to_bytes(answer.at("text").get<std::string>());
}

std::vector<std::string> TreeWorker::deb_controls(const std::string& directory,
                                                  const std::vector<std::string>& files,
                                                  CancelToken& cancel) {
  const Json answer =
      ask(store_, ownership_, {{"verb", "deb_controls"}, {"directory", directory}, {"files", files}}, {},
          no_progress(), cancel);
  return answer.at("controls").get<std::vector<std::string>>();
}

void TreeWorker::make_directories(const std::string& staging_path, const std::vector<std::string>& names,
                                  CancelToken& cancel) {
  ask(store_, ownership_, {{"verb", "make_directories"}, {"staging", staging_path}, {"names", names}}, {},
      no_progress(), cancel);
}

void TreeWorker::prepare_overlay(const std::string& staging_path, const std::string& name,
                                 const std::vector<std::string>& lowers, const std::vector<PlacedFile>& files,
                                 CancelToken& cancel) {
  Json placed = Json::array();
  for (const PlacedFile& file : files) placed.push_back({file.path, file.content, file.mode});
  ask(store_, ownership_,
      {{"verb", "prepare_overlay"},
       {"staging", staging_path},
       {"name", name},
       {"lowers", lowers},
       {"files", placed}},
      {}, no_progress(), cancel);
}

void TreeWorker::ensure_tree(const Digest& layer, ProgressSink& progress, CancelToken& cancel) {
  const store::LayerStore layers(store_);
  if (layers.is_laid_out(layer)) return;
  const store::LayerRecord record = layers.load(layer);
  ask(store_, ownership_,
      {{"verb", "ensure_tree"},
       {"layer", layer.hex()},
       {"index", record.index_object.hex()},
       {"mtimes", record.mtimes_object.hex()}},
      {}, progress, cancel);
}

store::CommitPreparation TreeWorker::prepare_commit(const std::string& env_id, const std::string& below,
                                                    const std::string& staging_path, ProgressSink& progress,
                                                    CancelToken& cancel) {
  const auto own = try_own_rights(ownership_, [&] {
    return store::prepare_commit(store_.open_dir("env/" + env_id + "/upper"),
                                 store_.open_dir("trees/" + below), store_.open_dir(staging_path),
                                 store_.root(), {}, progress, cancel);
  });
  if (own) return *own;
  store::discard_preparation(store_.open_dir(staging_path));
  const Json answer = ask(store_, ownership_,
                          {{"verb", "prepare_commit"},
                           {"upper", "env/" + env_id + "/upper"},
                           {"below", "trees/" + below},
                           {"staging", staging_path},
                           {"uid", ::geteuid()}},
                          {}, progress, cancel);
  store::CommitPreparation result;
  result.changed = answer.at("changed").get<bool>();
  if (!result.changed) return result;
  result.hash = Digest::parse(answer.at("hash").get<std::string>());
  result.mtimes = Digest::parse(answer.at("mtimes").get<std::string>());
  result.entries = answer.at("entries").get<std::uint64_t>();
  result.bytes = answer.at("bytes").get<std::uint64_t>();
  result.upper_inode = answer.at("upper_inode").get<std::uint64_t>();
  return result;
}

void TreeWorker::stage_fresh_upper(const std::string& below, const std::string& staging_path,
                                   CancelToken& cancel) {
  const auto own = try_own_rights(ownership_, [&] {
    store::stage_fresh_upper(store_.open_dir(staging_path), store_.open_dir("trees/" + below), true);
    return true;
  });
  if (own) return;
  store::discard_preparation(store_.open_dir(staging_path));
  ask(store_, ownership_,
      {{"verb", "stage_fresh_upper"}, {"below", "trees/" + below}, {"staging", staging_path}}, {},
      no_progress(), cancel);
}

void TreeWorker::finish_switch(const std::string& op_id) {
  // Once it began it ends: nothing here waits or takes long.
  CancelToken never;
  const auto own = try_own_rights(ownership_, [&] {
    store::finish_switch_trees(store_.root(), op_id, no_progress(), never);
    return true;
  });
  if (own) return;
  ask(store_, ownership_, {{"verb", "finish_switch"}, {"op_id", op_id}}, {}, no_progress(), never);
}

std::vector<store::TreeChange> TreeWorker::diff(const std::string& env_id,
                                                const std::vector<std::string>& below, CancelToken& cancel) {
  const auto own = try_own_rights(ownership_, [&] {
    std::vector<UniqueFd> trees;
    for (const std::string& layer : below) trees.push_back(store_.open_dir("trees/" + layer));
    return store::diff_upper(store_.open_dir("env/" + env_id + "/upper"), trees, {}, cancel);
  });
  if (own) return *own;
  std::vector<std::string> lowers;
  for (const std::string& layer : below) lowers.push_back("trees/" + layer);
  const UniqueFd changes = large_answer::make_file();
  ask(store_, ownership_,
      {{"verb", "diff"}, {"upper", "env/" + env_id + "/upper"}, {"lowers", lowers}, {"uid", ::geteuid()}},
      {{"changes_fd", changes}}, no_progress(), cancel);
  return large_answer::read_changes(read_from_start(changes));
}

std::vector<std::string> TreeWorker::tree_faults(const store::LayerRecord& layer, CancelToken& cancel) {
  return ask(store_, ownership_,
             {{"verb", "check_tree"}, {"layer", layer.hash.hex()}, {"index", layer.index_object.hex()}}, {},
             no_progress(), cancel)
      .at("faults")
      .get<std::vector<std::string>>();
}

std::vector<std::pair<Digest, std::string>> TreeWorker::object_faults(const std::vector<Digest>& objects,
                                                                      CancelToken& cancel) {
  Json names = Json::array();
  for (const Digest& object : objects) names.push_back(object.hex());
  const Json answer = ask(store_, ownership_, {{"verb", "check_objects"}, {"objects", std::move(names)}}, {},
                          no_progress(), cancel);
  std::vector<std::pair<Digest, std::string>> bad;
  for (const Json& fault : answer.at("bad"))
    bad.emplace_back(Digest::parse(fault.at(0).get<std::string>()), fault.at(1).get<std::string>());
  return bad;
}

store::TreeSizes TreeWorker::tree_sizes(const std::string& relative, CancelToken& cancel) {
  const UniqueFd linked = large_answer::make_file();
  const Json answer = ask(store_, ownership_, {{"verb", "tree_sizes"}, {"path", relative}},
                          {{"linked_fd", linked}}, no_progress(), cancel);
  return {.own = answer.at("own").get<std::uint64_t>(), .linked = large_answer::read_inodes(linked)};
}

store::TreeScan TreeWorker::read_tree(const Digest& layer, CancelToken& cancel) {
  const UniqueFd store = store_.open_dir("store");
  const UniqueFd index = nameless_file(store);
  const UniqueFd mtimes = nameless_file(store);
  const Json answer = ask(store_, ownership_, {{"verb", "read_tree"}, {"layer", layer.hex()}},
                          {{"index_fd", index}, {"mtimes_fd", mtimes}}, no_progress(), cancel);
  return {.index = read_from_start(index),
          .mtimes = read_from_start(mtimes),
          .entries = answer.at("entries").get<std::uint64_t>(),
          .bytes = answer.at("bytes").get<std::uint64_t>()};
}

void TreeWorker::copy_file(const std::string& relative, FdRef target, CancelToken& cancel) {
  ask(store_, ownership_, {{"verb", "copy_file"}, {"path", relative}}, {{"output_fd", target}}, no_progress(),
      cancel);
}

void TreeWorker::export_tree(const ExportRequest& request, FdRef output, ProgressSink& progress,
                             CancelToken& cancel) {
  Json layers = Json::array();
  for (const auto& [index, mtimes] : request.layers) layers.push_back({index.hex(), mtimes.hex()});
  ask(store_, ownership_,
      {{"verb", "export"},
       {"layers", layers},
       {"upper", request.upper_of.empty() ? "" : "env/" + request.upper_of + "/upper"},
       {"delta", request.delta},
       {"archive", request.archive}},
      {{"output_fd", output}}, progress, cancel);
}

void TreeWorker::remove(const std::string& relative) {
  // A token of its own: this is how a cancelled build is cleaned up. A second Ctrl-C ends the process anyway.
  CancelToken unasked;
  ask(store_, ownership_, {{"verb", "remove"}, {"path", relative}}, {}, no_progress(), unasked);
}

void remove_tree_any_owner(const store::StoreLayout& store, const std::string& relative) {
  try {
    remove_tree_at(store.root(), relative);
  } catch (const SystemError& error) {
    if (error.error_number() != EACCES && error.error_number() != EPERM) throw;
    TreeWorker(store, Ownership::Mapped).remove(relative);
  }
}

void finish_switch_any_owner(const store::StoreLayout& store, const std::string& op_id, bool flat) {
  TreeWorker(store, flat ? Ownership::Flat : Ownership::Mapped).finish_switch(op_id);
}

}  // namespace karapace::runtime
