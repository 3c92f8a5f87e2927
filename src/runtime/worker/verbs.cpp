// SPDX-License-Identifier: Apache-2.0
#include "worker/verbs.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "karapace/base/clock.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/fault.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/base/xattr.hpp"
#include "karapace/store/byte_text.hpp"
#include "karapace/store/commit.hpp"
#include "karapace/store/index_stream.hpp"
#include "karapace/store/integrity.hpp"
#include "karapace/store/layer.hpp"
#include "karapace/store/layer_merge.hpp"
#include "karapace/store/layout.hpp"
#include "karapace/store/repair.hpp"
#include "karapace/store/tree_diff.hpp"
#include "karapace/store/tree_sizes.hpp"
#include "worker/archive_texts.hpp"
#include "worker/bundle_files.hpp"
#include "worker/checksum.hpp"
#include "worker/copy_tree.hpp"
#include "worker/deb_control.hpp"
#include "worker/export_tree.hpp"
#include "worker/large_answer.hpp"
#include "worker/normalise.hpp"
#include "worker/unpack.hpp"

namespace karapace::worker {
namespace {

/// A descriptor that the parent passed on; it stays open.
FdRef inherited(const Json& request, const char* key) { return FdRef::from_raw(request.at(key).get<int>()); }

struct Job {
  explicit Job(const Json& json, ProgressSink& sink, const CancelToken& token)
      : request(json),
        progress(sink),
        cancel(token),
        store(inherited(json, "store_fd")),
        flat(json.at("flat").get<bool>()) {}

  const Json& request;
  ProgressSink& progress;
  const CancelToken& cancel;
  FdRef store;
  bool flat;

  [[nodiscard]] std::string text(const char* key) const { return request.at(key).get<std::string>(); }
  [[nodiscard]] Owners owners() const { return flat ? Owners::Flat : Owners::Kept; }
  [[nodiscard]] UniqueFd staging() const { return open_directory(store, text("staging")); }
  [[nodiscard]] std::vector<UniqueFd> lowers() const {
    std::vector<UniqueFd> opened;
    for (const Json& lower : request.at("lowers"))
      opened.push_back(open_directory(store, lower.get<std::string>()));
    return opened;
  }
};

// A directory of root's, so that nothing shows who the user outside is.
UniqueFd make_root_directory(FdRef parent, const std::string& name, Owners owners, mode_t mode) {
  make_directory_at(parent, name, mode);
  UniqueFd directory = open_directory(parent, name);
  if (owners == Owners::Kept && (fault::injected("chown") || ::fchown(directory.get(), 0, 0) != 0))
    throw_errno("give a directory to root");
  if (fault::injected("chmod") || ::fchmod(directory.get(), mode) != 0)
    throw_errno("set the mode of a directory");
  return directory;
}

UniqueFd create_world_readable(FdRef directory, const std::string& name) {
  try_unlink_at(directory, name);
  UniqueFd file = open_beneath(directory, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
  // The engine outside reads it under another id.
  if (fault::injected("chmod") || ::fchmod(file.get(), 0644) != 0)
    throw_errno("set the mode of the layer's index");
  return file;
}

/// Brings staging/<name> into the form in which it becomes a layer, and returns it open.
UniqueFd normalise_tree(const Job& job, FdRef staging, const std::string& name) {
  UniqueFd tree = open_directory(staging, name);
  const std::string normalise = job.text("normalise");
  if (normalise != "none") job.progress.step("normalise", job.text("what"));
  const WorkTree work(tree, job.lowers(), job.owners());
  if (normalise == "base") normalise_base(work);
  if (normalise == "layer") normalise_layer(work);
  if (normalise == "none") normalise_foreign(work);
  for (const Json& file : job.request.at("files")) {
    work.write(file.at(0).get<std::string>(), file.at(1).get<std::string>(), 0644);
  }
  // A tree of root's files alone has the same index flat and mapped, and lies on the disk under different
  // ids. The mark gives it two names, so that one store can hold both.
  if (!job.flat) set_xattr(staging, name, "user.karapace.ownership", "mapped");
  return tree;
}

store::IndexSummary write_index(FdRef staging, const std::string& name,
                                const std::vector<store::IndexEntry>& entries) {
  return store::write_index(entries, create_world_readable(staging, name + ".index"),
                            create_world_readable(staging, name + ".mtimes"));
}

Json seal(const Job& job) {
  const UniqueFd staging = job.staging();
  const std::string name = job.text("name");
  const UniqueFd tree = normalise_tree(job, staging, name);
  job.progress.step("seal", job.text("what"));
  store::SealOptions options;
  options.flat = job.flat;
  if (job.text("normalise") != "none") options.set_mtime = store::kSourceDateEpoch;
  const UniqueFd objects = open_directory(job.store, "store/objects");
  const UniqueFd trees = open_directory(job.store, "trees");
  const store::SealedTree sealed = store::seal_tree(tree, objects, options, job.progress, job.cancel);
  const store::IndexSummary index = write_index(staging, name, sealed.entries);
  job.progress.step("publish", job.text("what"));
  store::publish_tree(staging, name, trees, index.hash);
  return {{"hash", index.hash.hex()}, {"entries", index.entries}, {"bytes", index.bytes}};
}

/// What seal would make of the tree, which stays where it is.
Json describe(const Job& job) {
  const UniqueFd staging = job.staging();
  const std::string name = job.text("name");
  const UniqueFd tree = normalise_tree(job, staging, name);
  job.progress.step("hash", job.text("what"));
  return {
      {"hash", write_index(staging, name, store::scan_tree(tree, job.flat, true, 2, job.cancel)).hash.hex()}};
}

Json unpack(const Job& job) {
  const UniqueFd staging = job.staging();
  const std::string name = job.text("name");
  const bool layer = job.request.at("layer").get<bool>();
  const UniqueFd target = layer && exists_at(staging, name)
                              ? open_directory(staging, name)
                              : make_root_directory(staging, name, job.owners(), 0755);
  const FdRef archive = inherited(job.request, "archive_fd");
  const UnpackOptions options{
      .owners = job.owners(), .expected_sha256 = job.text("sha256"), .image_layer = layer};
  unpack_archive(archive, target, options, job.progress, job.cancel);
  return {};
}

Json copy(const Job& job) {
  const UniqueFd staging = job.staging();
  const UniqueFd target = make_root_directory(staging, job.text("name"), job.owners(), 0755);
  const CopyOptions options{.owners = job.owners(),
                            .callers_uid = job.request.at("uid").get<uid_t>(),
                            .callers_gid = job.request.at("gid").get<gid_t>()};
  copy_tree(inherited(job.request, "source_fd"), target, options, job.progress, job.cancel);
  return {};
}

// What seal would call the tree, with nothing changed: the pin of a local directory.
Json digest(const Job& job) {
  const UniqueFd staging = job.staging();
  const UniqueFd tree = open_directory(staging, job.text("name"));
  normalise_foreign(WorkTree(tree, {}, job.owners()));
  const auto entries = store::scan_tree(tree, job.flat, true, 2, job.cancel);
  return {{"hash", store::summarise(entries).hash.hex()}};
}

// An upper and a work directory, the upper with files that only the installation sees.
Json prepare_overlay(const Job& job) {
  const UniqueFd staging = job.staging();
  const std::string name = job.text("name");
  make_root_directory(staging, name + ".work", job.owners(), 0700);
  const UniqueFd upper = make_root_directory(staging, name, job.owners(), 0755);
  const WorkTree work(upper, job.lowers(), job.owners());
  work.adopt_root_attributes();
  for (const Json& file : job.request.at("files")) {
    work.write(file.at(0).get<std::string>(), file.at(1).get<std::string>(), file.at(2).get<mode_t>());
  }
  return {};
}

Json make_directories(const Job& job) {
  const UniqueFd staging = job.staging();
  for (const Json& name : job.request.at("names")) {
    make_root_directory(staging, name.get<std::string>(), job.owners(), 0755);
  }
  return {};
}

Json archive_texts(const Job& job) {
  const UniqueFd directory = open_directory(job.store, job.text("directory"));
  const auto wanted = job.request.at("wanted").get<std::vector<std::string>>();
  Json archives = Json::array();
  for (const Json& file : job.request.at("files")) {
    job.cancel.check();
    const std::string name = file.get<std::string>();
    with_context([&] { return printable(name); },
                 [&] {
                   Json texts = Json::object();
                   const auto found = read_archive_texts(open_beneath(directory, name, O_RDONLY), wanted);
                   for (const auto& [entry, text] : found) texts[entry] = store::bytes_to_hex(text);
                   archives.push_back(std::move(texts));
                 });
  }
  return {{"archives", archives}};
}

/// An rpm-md repository as zypper keeps it has one such file; other kinds have none.
Json rpm_descriptions(const Job& job) {
  const auto directory = try_open_beneath(job.store, job.text("directory"), O_RDONLY | O_DIRECTORY);
  if (!directory) return Json::object();
  const auto names = job.request.at("names").get<std::vector<std::string>>();
  for (const DirectoryEntry& entry : list_directory(*directory)) {
    if (!entry.name.contains("primary.xml")) continue;
    const UniqueFd index = open_beneath(*directory, entry.name, O_RDONLY);
    return {{"text", store::bytes_to_hex(read_rpm_descriptions(index, names))}};
  }
  return Json::object();
}

Json deb_controls(const Job& job) {
  const UniqueFd directory = open_directory(job.store, job.text("directory"));
  Json controls = Json::array();
  for (const Json& file : job.request.at("files")) {
    job.cancel.check();
    const std::string name = file.get<std::string>();
    controls.push_back(
        with_context([&] { return printable(name); },
                     [&] { return read_deb_control(open_beneath(directory, name, O_RDONLY)); }));
  }
  return {{"controls", controls}};
}

constexpr std::size_t kMaxIndex = 1024UL * 1024 * 1024;

std::string load_object(FdRef objects, const std::string& digest_text) {
  const Digest expected = Digest::parse(digest_text);
  std::string bytes = read_file_at(objects, expected.hex(), kMaxIndex);
  if (const Digest found = hash_bytes(bytes); found != expected)
    throw CorruptError("index of a layer", expected.hex(), found.hex());
  return bytes;
}

UniqueFd open_object(FdRef objects, const Digest& digest) {
  UniqueFd file = open_beneath(objects, digest.hex(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (const Digest found = hash_file(file); found != digest)
    throw CorruptError("index of a layer", digest.hex(), found.hex());
  return file;
}

std::vector<store::IndexEntry> load_entries(FdRef objects, const std::string& index,
                                            const std::string& mtimes, std::uint64_t room = 0) {
  auto entries = store::read_index(open_object(objects, Digest::parse(index)), room);
  store::apply_mtimes(entries, load_object(objects, mtimes));
  return entries;
}

Json ensure_tree(const Job& job) {
  const Digest layer = Digest::parse(job.text("layer"));
  const UniqueFd trees = open_directory(job.store, "trees");
  if (exists_at(trees, layer.hex())) return {};
  const UniqueFd objects = open_directory(job.store, "store/objects");
  const auto entries = load_entries(objects, job.text("index"), job.text("mtimes"));
  const std::string name = std::string(kTemporaryPrefix) + random_hex(16);
  const UniqueFd target = make_root_directory(trees, name, job.owners(), 0700);
  store::lay_out_tree(entries, objects, target, job.flat, job.cancel);
  store::publish_tree(trees, name, trees, layer);
  return {};
}

Json prepare_commit(const Job& job) {
  const store::CommitOptions options{
      .flat = job.flat, .threads = 2, .build_uid = job.request.at("uid").get<std::uint32_t>()};
  const store::CommitPreparation prepared = store::prepare_commit(
      open_directory(job.store, job.text("upper")), open_directory(job.store, job.text("below")),
      job.staging(), job.store, options, job.progress, job.cancel);
  return {{"changed", prepared.changed},     {"hash", prepared.hash.hex()},
          {"mtimes", prepared.mtimes.hex()}, {"entries", prepared.entries},
          {"bytes", prepared.bytes},         {"upper_inode", prepared.upper_inode}};
}

Json stage_fresh_upper(const Job& job) {
  store::stage_fresh_upper(job.staging(), open_directory(job.store, job.text("below")), job.flat);
  return {};
}

Json diff(const Job& job) {
  const store::DiffOptions options{.flat = job.flat, .build_uid = job.request.at("uid").get<std::uint32_t>()};
  const std::vector<store::TreeChange> changes =
      store::diff_upper(open_directory(job.store, job.text("upper")), job.lowers(), options, job.cancel);
  large_answer::write_changes(inherited(job.request, "changes_fd"), changes);
  return {};
}

Json finish_switch(const Job& job) {
  // Whoever began this wants its end: a signal to the whole process group must not stop it half-way.
  const CancelToken never;
  store::finish_switch_trees(job.store, job.text("op_id"), job.progress, never);
  return {};
}

Json remove(const Job& job) {
  remove_tree_at(job.store, job.text("path"));
  return {};
}

Json check_tree(const Job& job) {
  const Digest index = Digest::parse(job.text("index"));
  const UniqueFd objects = open_directory(job.store, "store/objects");
  const UniqueFd file = open_object(objects, index);
  const UniqueFd tree = open_directory(job.store, "trees/" + Digest::parse(job.text("layer")).hex());
  return {{"faults", store::find_tree_faults(tree, objects, store::IndexReader(file), job.flat, job.cancel)}};
}

Json check_objects(const Job& job) {
  const UniqueFd objects = open_directory(job.store, "store/objects");
  Json bad = Json::array();
  for (const Json& name : job.request.at("objects")) {
    job.cancel.check();
    const Digest digest = Digest::parse(name.get<std::string>());
    try {
      const Digest found = hash_file(open_beneath(objects, digest.hex(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
      if (found != digest) bad.push_back({digest.hex(), "object hash mismatch: got " + found.hex()});
    } catch (const Error& error) {
      bad.push_back({digest.hex(), fmt::format("object read error: {}", error.message())});
    }
  }
  return {{"bad", bad}};
}

// The tree of a layer as it is, into two files of the caller's: what an index of it would be.
Json read_tree(const Job& job) {
  const UniqueFd tree = open_directory(job.store, "trees/" + Digest::parse(job.text("layer")).hex());
  const store::TreeScan scan = store::read_tree(tree, job.flat, job.cancel);
  write_all(inherited(job.request, "index_fd"), scan.index);
  write_all(inherited(job.request, "mtimes_fd"), scan.mtimes);
  return {{"entries", scan.entries}, {"bytes", scan.bytes}};
}

Json copy_file(const Job& job) {
  const UniqueFd source = open_beneath(job.store, job.text("path"), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!S_ISREG(stat_fd(source).st_mode)) throw Error(ErrorCode::Corrupt, "it is not a regular file");
  store::copy_file_contents(source, inherited(job.request, "output_fd"));
  return {};
}

Json tree_sizes(const Job& job) {
  const store::TreeSizes sizes = store::read_tree_sizes(job.store, job.text("path"), job.cancel);
  large_answer::write_inodes(inherited(job.request, "linked_fd"), sizes.linked);
  return {{"own", sizes.own}};
}

/// What the layers show together, bottom first. They are merged within the largest of them.
std::vector<store::IndexEntry> load_stack(FdRef objects, const Json& layers) {
  std::uint64_t room = 0;
  for (const Json& layer : layers) {
    const std::string index = Digest::parse(layer.at(0).get<std::string>()).hex();
    room += store::plausible_count(open_beneath(objects, index, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  }
  std::vector<store::IndexEntry> stack;
  for (const Json& layer : layers) {
    auto entries =
        load_entries(objects, layer.at(0).get<std::string>(), layer.at(1).get<std::string>(), room);
    stack = stack.empty() ? std::move(entries) : store::merge_layers(std::move(stack), std::move(entries));
  }
  return stack;
}

Json export_files(const Job& job) {
  const UniqueFd objects = open_directory(job.store, "store/objects");
  UniqueFd upper;
  ExportSource source{.entries = {}, .in_upper = {}, .upper = &upper, .objects = objects};
  source.entries = load_stack(objects, job.request.at("layers"));
  if (const std::string path = job.text("upper"); !path.empty()) {
    upper = open_directory(job.store, path);
    std::vector<std::string> left_out;  // sockets
    auto entries = store::scan_tree(upper, job.flat, false, 1, job.cancel, &left_out);
    for (const std::string& name : left_out) job.progress.note("left out, not a file: " + printable(name));
    for (const store::IndexEntry& entry : entries) source.in_upper.insert(entry.path);
    source.entries = store::merge_layers(std::move(source.entries), std::move(entries));
  }
  if (!job.request.at("delta").get<bool>()) source.entries = store::visible_tree(std::move(source.entries));
  const FdRef output = inherited(job.request, "output_fd");
  if (job.request.at("archive").get<bool>()) {
    export_to_tar(source, output, job.progress, job.cancel);
  } else {
    export_to_directory(source, output, job.owners(), job.progress, job.cancel);
  }
  return {};
}

Json sha256(const Job& job) {
  return {{"sha256", sha256_of_file(inherited(job.request, "archive_fd"), job.cancel)}};
}

std::vector<BundleFile> bundle_files(const Json& request) {
  std::vector<BundleFile> files;
  for (const Json& file : request.at("files")) {
    // What becomes the name of a file is a digest and nothing else.
    files.push_back({Digest::parse(file.at(0).get<std::string>()).hex(), file.at(1).get<std::uint64_t>(),
                     file.at(2).get<std::string>()});
  }
  return files;
}

Json write_bundle(const Job& job) {
  write_bundle_files(open_directory(job.store, "store/packages"), bundle_files(job.request),
                     inherited(job.request, "output_fd"), job.progress, job.cancel);
  return {};
}

Json read_bundle(const Job& job) {
  read_bundle_files(inherited(job.request, "archive_fd"), job.request.at("offset").get<std::uint64_t>(),
                    bundle_files(job.request), job.staging(), job.progress, job.cancel);
  return {};
}

}  // namespace

Json carry_out(const Json& request, ProgressSink& progress, const CancelToken& cancel) {
  const Job job(request, progress, cancel);
  const std::string verb = job.text("verb");
  if (verb == "seal") return seal(job);
  if (verb == "describe") return describe(job);
  if (verb == "unpack") return unpack(job);
  if (verb == "copy") return copy(job);
  if (verb == "digest") return digest(job);
  if (verb == "prepare_overlay") return prepare_overlay(job);
  if (verb == "make_directories") return make_directories(job);
  if (verb == "deb_controls") return deb_controls(job);
  if (verb == "archive_texts") return archive_texts(job);
  if (verb == "rpm_descriptions") return rpm_descriptions(job);
  if (verb == "ensure_tree") return ensure_tree(job);
  if (verb == "prepare_commit") return prepare_commit(job);
  if (verb == "stage_fresh_upper") return stage_fresh_upper(job);
  if (verb == "finish_switch") return finish_switch(job);
  if (verb == "diff") return diff(job);
  if (verb == "export") return export_files(job);
  if (verb == "remove") return remove(job);
  if (verb == "check_tree") return check_tree(job);
  if (verb == "check_objects") return check_objects(job);
  if (verb == "tree_sizes") return tree_sizes(job);
  if (verb == "read_tree") return read_tree(job);
  if (verb == "copy_file") return copy_file(job);
  if (verb == "sha256") return sha256(job);
  if (verb == "write_bundle") return write_bundle(job);
  if (verb == "read_bundle") return read_bundle(job);
  throw Error(ErrorCode::Internal, fmt::format("karapace-worker knows no verb '{}'", printable(verb)));
}

}  // namespace karapace::worker
