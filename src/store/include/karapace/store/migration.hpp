// SPDX-License-Identifier: Apache-2.0
// From format 1 to format 2.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "karapace/base/cancel.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/store/metadata.hpp"

namespace karapace::store {

enum class MigrationStatus {
  NoStore,  // there is nothing at the path
  Current,  // of this format already
  Newer,    // written by a newer program
  Migrated,
};
struct MigrationReport {
  MigrationStatus status = MigrationStatus::NoStore;
  std::uint64_t found = 0;           // format before
  std::size_t environments = 0;      // records that were rewritten
  std::vector<BadRecord> skipped;    // records that could not be read: they stay as they are
  std::vector<std::string> unnamed;  // env ids that lost a name which another environment has, too
  std::size_t operations = 0;        // interrupted ones of the old program; their entries are in the backup
  std::string backup;                // copy of the old version file, relative to the store root
  std::string record_backup;         // directory with every file that was changed; empty if there was none
};

/// Waits for the store to itself. First everything that will change is copied, durably; the records are
/// rewritten one by one; the version comes last. A run that was interrupted leaves a store of format 1 with
/// some records that both formats can read, and the next run finishes it. Objects, layers and environments
/// are not touched.
/// Throws NotFound if there is a store without a version, CorruptError if the version cannot be read.
MigrationReport migrate_store(const std::string& root, ProgressSink& progress, const CancelToken& cancel);

}  // namespace karapace::store
