// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/json.hpp"
#include "karapace/base/text.hpp"
#include "karapace/runtime/plan/launch_plan.hpp"

namespace karapace::runtime {
namespace {

/// Paths and arguments are bytes; JSON is UTF-8.
std::string text_of(const std::string& bytes) {
  return is_utf8(bytes) ? bytes : printable(bytes, bytes.size() * 4 + 4);
}

const char* name_of(LaunchMode mode) noexcept {
  switch (mode) {
    case LaunchMode::Ephemeral:
      return "ephemeral";
    case LaunchMode::Start:
      return "start";
    case LaunchMode::Join:
      return "join";
  }
  return "";
}

const char* name_of(MountKind kind) noexcept {
  switch (kind) {
    case MountKind::Bind:
      return "bind";
    case MountKind::Tmpfs:
      return "tmpfs";
    case MountKind::Proc:
      return "proc";
    case MountKind::Sysfs:
      return "sysfs";
    case MountKind::Devpts:
      return "devpts";
    case MountKind::Mqueue:
      return "mqueue";
    case MountKind::Symlink:
      return "symlink";
    case MountKind::Directory:
      return "directory";
    case MountKind::File:
      return "file";
  }
  return "";
}

OrderedJson list_of(const std::vector<std::string>& items) {
  OrderedJson list = OrderedJson::array();
  for (const std::string& item : items) list.push_back(text_of(item));
  return list;
}

OrderedJson explain_ids(const std::vector<IdExtent>& extents) {
  OrderedJson list = OrderedJson::array();
  for (const IdExtent& extent : extents)
    list.push_back({{"inside", extent.inside}, {"outside", extent.outside}, {"count", extent.count}});
  return list;
}

OrderedJson explain_mount(const MountStep& step) {
  OrderedJson json = {{"kind", name_of(step.kind)}, {"target", text_of(step.target)}};
  if (step.kind == MountKind::File)
    json["content_bytes"] = step.source.size();
  else if (!step.source.empty())
    json["source"] = text_of(step.source);
  if (step.kind == MountKind::Bind) json["access"] = step.read_only ? "ro" : "rw";
  if (step.recursive) json["recursive"] = true;
  if (step.no_exec) json["noexec"] = true;
  if (step.allow_devices) json["devices"] = true;
  if (step.optional) json["optional"] = true;
  if (!step.options.empty()) json["options"] = text_of(step.options);
  return json;
}

OrderedJson explain_environment(const EnvironmentPlan& environment) {
  OrderedJson json;
  json["uid_map"] = explain_ids(environment.ids.uids);
  json["gid_map"] = explain_ids(environment.ids.gids);
  if (environment.nested_user)
    json["nested_user"] = {{"uid", environment.nested_user->uid}, {"gid", environment.nested_user->gid}};
  json["maps_written_by"] = environment.ids.use_helpers ? "newuidmap" : "karapace-init";
  json["namespaces"] = {"user", "mount", "pid", "ipc", "cgroup"};
  if (!environment.hostname.empty()) json["namespaces"].push_back("uts");
  if (environment.isolate_network) json["namespaces"].push_back("net");
  json["hostname"] = text_of(environment.hostname);
  if (environment.root) {
    json["root"] = {{"kind", "overlay"},
                    {"lowers", list_of(environment.root->lowers)},
                    {"upper", text_of(environment.root->upper)},
                    {"work", text_of(environment.root->work)},
                    {"read_only", environment.root->upper.empty()}};
  } else {
    json["root"] = {{"kind", "host"}};
  }
  json["mounts"] = OrderedJson::array();
  for (const MountStep& step : environment.mounts) json["mounts"].push_back(explain_mount(step));
  return json;
}

OrderedJson explain_process(const ProcessPlan& process) {
  OrderedJson json;
  json["command"] = list_of(process.argv);
  if (process.argv.empty()) json["login_shells"] = list_of(process.login_shells);
  json["environment"] = OrderedJson::object();
  for (const auto& [name, value] : process.environment) json["environment"][text_of(name)] = text_of(value);
  json["working_directories"] = list_of(process.working_directories);
  json["uid"] = process.uid;
  json["gid"] = process.gid;
  json["nested_user_namespace"] = process.nested_user_namespace;
  json["capabilities"] = process.drop_all_capabilities ? "none" : "of the user namespace, bounded";
  json["no_new_privileges"] = process.no_new_privileges;
  json["emulate_ownership"] = process.emulate_ownership;
  json["seccomp_instructions"] = process.seccomp_filter.size() / 8;
  json["terminal"] = process.terminal == TerminalMode::Pty ? "pty" : "inherit";
  json["umask"] = process.umask;
  return json;
}

}  // namespace

std::string explain_plan(const LaunchPlan& plan) {
  OrderedJson json;
  json["mode"] = name_of(plan.mode);
  json["env_id"] = text_of(plan.env_id);
  json["environment"] = explain_environment(plan.environment);
  json["process"] = explain_process(plan.process);
  return pretty_json(json);
}

}  // namespace karapace::runtime
