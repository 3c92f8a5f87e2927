// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace karapace::runtime::dnf {

/// What dnf.cpp asks the base's dnf: request and answer are JSON on stdin and stdout. A program of dnf's own
/// library, because the command prints for people: no hashes, and names that it has shortened.
inline constexpr std::string_view kScript = R"python(
import json, sys
import dnf, dnf.callback, dnf.exceptions, dnf.subject, dnf.transaction, hawkey

def answer(**fields):
    json.dump(fields, sys.stdout)
    sys.exit(0)

class TrustConfiguration(dnf.callback.KeyImport):
    def _confirm(self, id, userid, fingerprint, url, timestamp):
        return url.startswith(('file:///', 'https://'))

request = json.load(sys.stdin)
base = dnf.Base()
conf = base.conf
conf.read()
conf.substitutions.update_from_etc(conf.installroot)
if conf.substitutions.get('releasever') is None:
    conf.substitutions.pop('releasever', None)
conf.cachedir = conf.persistdir = conf.logdir = request['directory']
conf.install_weak_deps = False
try:
    base.read_all_repos()
    configured = {}
    for repo in base.repos.iter_enabled():
        configured[repo.id] = list(repo.baseurl)
        repo.skip_if_unavailable = False
        repo._set_key_import(TrustConfiguration())
        if repo.id in request['mirrors']:
            repo.metalink = None
            repo.mirrorlist = None
            repo.baseurl = [request['mirrors'][repo.id]]
    base.fill_sack(load_system_repo=True)
except dnf.exceptions.RepoError as error:
    answer(unreachable=str(error))

def alike(a, b):
    return a.arch == b.arch or 'noarch' in (a.arch, b.arch)

locked = base.add_remote_rpms(request['locked'])
if request['prefer_locked']:
    for kept in locked:
        same = base.sack.query().available().filterm(name=kept.name)
        others = [pkg for pkg in same if pkg != kept and alike(pkg, kept)]
        base.sack.add_excludes(base.sack.query().filterm(pkg=others))

# A name, perhaps with version and architecture, means one package; what several packages provide means none.
unknown = []
providers = {}
for name in request['names']:
    named = dnf.subject.Subject(name).get_best_query(base.sack, with_provides=False, with_filenames=False)
    provided_by = sorted({pkg.name for pkg in base.sack.query().filterm(provides=name)})
    if not named and len(provided_by) != 1:
        unknown.append(name)
        if provided_by:
            providers[name] = provided_by
        continue
    try:
        base.install(name)
    except dnf.exceptions.MarkingError:
        unknown.append(name)
if unknown:
    answer(unknown=unknown, providers=providers, names=sorted({pkg.name for pkg in base.sack.query().available()}))
try:
    base.resolve()
except dnf.exceptions.Error as error:
    answer(problem=str(error))

packages = []
removed = []
used = {}
for item in base.transaction or ():
    pkg = item.pkg
    if item.action == dnf.transaction.PKG_REMOVE:
        removed.append(pkg.name)
    if item.action not in dnf.transaction.FORWARD_ACTIONS or any(p['id'] == str(pkg) for p in packages):
        continue
    known = {'id': str(pkg), 'name': pkg.name, 'version': pkg.evr, 'arch': pkg.arch}
    packages.append(known)
    if pkg in locked:
        known['locked'] = locked.index(pkg)
        continue
    kind, checksum = pkg.chksum
    known['checksum_kind'] = hawkey.chksum_name(kind)
    known['checksum'] = checksum.hex()
    known['size'] = pkg.downloadsize
    known['repository'] = pkg.reponame
    known['path'] = pkg.location
    known['url'] = pkg.remote_location(schemes=('https', 'http')) or ''
    repo = base.repos[pkg.reponame]
    used[repo.id] = {'urls': configured[repo.id], 'signed': bool(repo.gpgcheck), 'keys': list(repo.gpgkey)}
answer(packages=packages, removed=removed, repositories=used)
)python";

}  // namespace karapace::runtime::dnf
