// SPDX-License-Identifier: Apache-2.0
#include "registry_access.hpp"

#include <algorithm>
#include <utility>

#include "karapace/base/error.hpp"
#include "karapace/remote/oci_credentials.hpp"
#include "karapace/remote/oci_reference.hpp"
#include "karapace/runtime/sandbox.hpp"

namespace karapace::core {

namespace oci = remote::oci;

namespace {

constexpr unsigned kMaxRenewals = 20;

}  // namespace

remote::Web& RegistryAccess::web() {
  if (!web_)
    web_ = std::make_unique<remote::Web>(runtime::find_helper("karapace-fetch"), remote::FetchOptions{},
                                         cancel_);
  return *web_;
}

oci::Registry& RegistryAccess::registry(const std::string& reference) {
  if (!registry_ || reference_ != reference) {
    oci::Reference parsed = oci::parse_reference(reference);
    auto credentials = oci::find_credentials(parsed);
    registry_ = std::make_unique<oci::Registry>(web(), std::move(parsed), std::move(credentials));
    reference_ = reference;
  }
  return *registry_;
}

remote::FetchReport RegistryAccess::fetch(const store::StoreLayout& layout, const std::string& base_image,
                                          const BasePin& pin, std::vector<remote::Download> downloads,
                                          ProgressSink& progress) {
  std::string own;
  if (pin.provider == BaseProvider::Oci && oci::looks_like_reference(base_image))
    own = oci::parse_reference(base_image).api_url() + "/";
  const auto is_own = [&](const remote::Download& file) { return !own.empty() && file.url.starts_with(own); };
  const bool from_registry = std::ranges::any_of(downloads, is_own);
  for (unsigned refusals = 0;; ++refusals) {
    const std::string header = from_registry ? registry(base_image).authorization(pin.sha256) : std::string();
    for (remote::Download& file : downloads) {
      // The lock says where a file was found, and a lock may come from anybody: what is for this registry
      // goes to no other.
      if (is_own(file)) file.authorization = header;
      if (file.url.find("/manifests/sha256:") != std::string::npos) file.accept = oci::kAcceptedDocuments;
    }
    try {
      return remote::fetch_all(layout, downloads, remote::FetchOptions{}, progress, cancel_,
                               runtime::find_helper("karapace-fetch"));
    } catch (const remote::Unauthorized&) {
      // A token lasts for minutes, and a large image may take longer. What has come stays.
      if (!from_registry || refusals == kMaxRenewals) throw;
      registry(base_image).forget_authorization();
    }
  }
}

}  // namespace karapace::core
