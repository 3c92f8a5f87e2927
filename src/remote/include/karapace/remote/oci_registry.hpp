// SPDX-License-Identifier: Apache-2.0
// Images in registries: the OCI distribution protocol, reading side.
#pragma once

#include <string>
#include <string_view>

#include "karapace/remote/oci_credentials.hpp"
#include "karapace/remote/oci_documents.hpp"
#include "karapace/remote/oci_reference.hpp"
#include "karapace/remote/web.hpp"

namespace karapace::remote::oci {

/// Where documents of an image come from. Both functions check nothing but that the bytes are within limits.
class DocumentSource {
 public:
  struct Document {
    std::string bytes;
    std::string sha256;      // of the bytes
    std::string media_type;  // what the source says it is; may be empty
  };
  virtual ~DocumentSource() = default;
  [[nodiscard]] virtual Document manifest(const std::string& sha256) = 0;
  [[nodiscard]] virtual Document config(const std::string& sha256) = 0;
};

/// An image for one platform, with every document checked against the digest that led to it.
struct ResolvedImage {
  std::string index_sha256;  // empty if there was none
  std::string manifest_sha256;
  std::uint64_t manifest_size = 0;
  ImageManifest manifest;
};
/// Goes from `first`, an index or a manifest, to the image for Linux on `architecture`. Throws InvalidInput
/// with `what` in front.
[[nodiscard]] ResolvedImage resolve_image(DocumentSource& source, DocumentSource::Document first,
                                          std::string_view architecture, std::string_view what);

/// One repository of a registry. Answers to its demand for a token or a password; credentials go to the
/// registry and to the token server that it names, if that is asked by HTTPS (or as unencrypted as the
/// registry itself).
class Registry : public DocumentSource {
 public:
  Registry(Web& web, Reference reference, CredentialSearch credentials);

  /// What the reference names now. Throws NotFound-like trouble as InvalidInput that names the image.
  [[nodiscard]] ResolvedImage resolve(std::string_view architecture);

  [[nodiscard]] Document manifest(const std::string& sha256) override;
  [[nodiscard]] Document config(const std::string& sha256) override;

  [[nodiscard]] std::string manifest_url(const std::string& sha256) const;
  [[nodiscard]] std::string blob_url(const std::string& sha256) const;

  /// The Authorization header that opens the manifest `sha256`, and so the blobs; empty if none is needed.
  [[nodiscard]] std::string authorization(const std::string& sha256);
  /// For when that one was not accepted any more.
  void forget_authorization() { authorization_.clear(); }

 private:
  [[nodiscard]] Document get(const std::string& url, const std::string& accept, std::size_t limit);
  void authorize(const WebReply& refusal);
  [[nodiscard]] std::string ask_for_token(const std::string& realm, const std::string& service,
                                          const std::string& scope);
  [[noreturn]] void refuse(std::string_view reason, std::string fix = {}) const;
  [[noreturn]] void refuse_status(const WebReply& reply) const;

  Web& web_;
  Reference reference_;
  CredentialSearch credentials_;
  std::string authorization_;
};

}  // namespace karapace::remote::oci
