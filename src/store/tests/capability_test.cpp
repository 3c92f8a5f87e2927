// SPDX-License-Identifier: Apache-2.0
// On disk a capability of a user namespace names its root; inside it must look the same for everyone.
#include <cerrno>

#include "../tree_walk.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/xattr.hpp"
#include "test_store.hpp"

namespace karapace::store {
namespace {

class Capability : public testing::StoreTest {};

TEST_F(Capability, CapabilityIsRecordedAsSeenInside) {
  const UniqueFd tree = dir.make_dir("tree");
  dir.write("tree/ping", "x", 0755);
  // VFS_CAP_REVISION_2 with cap_net_raw, permitted and effective.
  const std::string capability("\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  set_xattr(tree, "ping", "security.capability", capability);
  const testing::Sealed sealed = seal(tree);
  std::vector<IndexEntry> entries = decode_index(sealed.index);
  apply_mtimes(entries, sealed.mtimes);
  EXPECT_EQ(entries.at(1).xattrs.at(0).second, capability);
  const UniqueFd target = dir.make_dir("target");
  lay_out_tree(entries, layout.objects(), target, true);
  EXPECT_EQ(scan(target), entries);
}

TEST_F(Capability, SeenFromOutsideItIsLeftToTheUserNamespace) {
  const UniqueFd tree = dir.make_dir("tree");
  // VFS_CAP_REVISION_3: the same with the root it is for, which only those outside of its namespace see.
  const std::string from_outside("\x01\0\0\x03\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xe8\x03\0\0", 24);
  try {
    static_cast<void>(split_xattrs({{"security.capability", from_outside}}, true, "ping"));
    FAIL() << "taken as it was";
  } catch (const SystemError& error) {
    EXPECT_EQ(error.error_number(), EPERM);
  }
  EXPECT_EQ(split_xattrs({{"security.capability", from_outside}}, false, "ping").kept.size(), 1U);
}

}  // namespace
}  // namespace karapace::store
