// SPDX-License-Identifier: Apache-2.0
#include "seal_layer.hpp"

namespace karapace::runtime {

Digest seal_layer(BuildContext& context, const SealRequest& request) {
  TreeWorker worker(context.store, context.manifest.ownership);
  if (context.index_only == nullptr) return worker.seal(request, context.progress, context.cancel);
  DescribedLayer layer = worker.describe(request, context.progress, context.cancel);
  *context.index_only = std::move(layer.index_path);
  return layer.hash;
}

}  // namespace karapace::runtime
