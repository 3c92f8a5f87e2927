// SPDX-License-Identifier: Apache-2.0
#include "worker/generated_files.hpp"

#include <fcntl.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/store/layer.hpp"

namespace karapace::worker {
namespace {

constexpr std::size_t kMaxFile = 64 * 1024 * 1024;

// --- Java. https://docs.oracle.com/javase/8/docs/technotes/guides/security names the format; the bytes are
// --- those of sun.security.provider.JavaKeyStore: big-endian, strings with two bytes of length.

constexpr std::uint32_t kJksMagic = 0xfeedfeed;
constexpr std::uint32_t kJksVersion = 2;
constexpr std::uint32_t kJksCertificate = 2;
constexpr std::size_t kSha1Bytes = 20;
constexpr std::size_t kMaxCertificates = 100'000;

/// Reads until something is missing; what is missing reads as nothing.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}
  [[nodiscard]] bool failed() const noexcept { return failed_; }
  [[nodiscard]] bool at_end() const noexcept { return left_.empty(); }
  std::string_view take(std::size_t count) {
    if (count > left_.size()) failed_ = true;
    const auto taken = left_.substr(0, failed_ ? 0 : count);
    left_.remove_prefix(taken.size());
    return taken;
  }
  std::uint64_t number(std::size_t bytes) {
    std::uint64_t value = 0;
    for (const char byte : take(bytes)) value = value << 8U | static_cast<unsigned char>(byte);
    return value;
  }

 private:
  std::string_view left_;
  bool failed_ = false;
};

void append_number(std::string& out, std::uint64_t value, unsigned bytes) {
  while (bytes-- > 0) out += static_cast<char>(value >> 8U * bytes & 0xffU);
}

/// What ends a key store: of the password in UTF-16, some words, and everything before.
std::string jks_digest(std::string_view data) {
  std::string text;
  for (const char c : std::string_view("changeit")) text.append({'\0', c});
  text.append("Mighty Aphrodite").append(data);
  std::array<unsigned char, kSha1Bytes> digest{};
  if (EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha1(), nullptr) != 1)
    throw Error(ErrorCode::Internal, "the cryptography library cannot compute SHA-1");
  return {digest.begin(), digest.end()};
}

// --- TeX

std::vector<DirectoryEntry> entries_of(const WorkTree& tree, const std::string& path) {
  const auto info = tree.find(path);
  if (!info || !S_ISDIR(info->st_mode)) return {};
  return list_directory(open_directory(tree.fd(), path));
}

template <typename Function>
void rewrite_if(const WorkTree& tree, const std::string& path, Function&& normalise) {
  const auto info = tree.find(path);
  if (!info || !S_ISREG(info->st_mode) || static_cast<std::size_t>(info->st_size) > kMaxFile) return;
  const std::string before = read_file_at(tree.fd(), path, kMaxFile);
  const std::optional<std::string> after = normalise(before);
  if (after && *after != before) tree.rewrite(path, *after);
}

/// tex-common's lists of fonts and formats, which are the files of packages one after the other.
void order_tex_lists(const WorkTree& tree) {
  struct List {
    const char* pieces;
    const char* file;
  };
  for (const auto& [directory, list] :
       {List{"fontmap-cfg/texmf", "updmap.cfg-DEBIAN"}, List{"fontmap-cfg/texlive", "updmap.cfg-TEXLIVEDIST"},
        List{"fmtutil-cnf/texmf", "fmtutil.cnf-DEBIAN"},
        List{"fmtutil-cnf/texlive", "fmtutil.cnf-TEXLIVEDIST"}}) {
    const std::string top = std::string("var/lib/tex-common/") + directory;
    const std::string_view extension = std::string_view(directory).starts_with("font") ? ".cfg" : ".cnf";
    std::vector<std::string> pieces;
    for (const DirectoryEntry& entry : entries_of(tree, top)) {
      const auto info = tree.find(top + "/" + entry.name);
      if (!entry.name.ends_with(extension) || !info || !S_ISREG(info->st_mode)) continue;
      pieces.push_back(read_file_at(tree.fd(), top + "/" + entry.name, kMaxFile));
    }
    rewrite_if(tree, std::string("var/lib/texmf/") + list,
               [&](std::string_view text) { return normalise_pieces(text, pieces); });
  }
}

void normalise_tex(const WorkTree& tree) {
  order_tex_lists(tree);
  const std::string top = "var/lib/texmf";
  const std::string formats = top + "/web2c";
  for (const DirectoryEntry& engine : entries_of(tree, formats)) {
    const std::string path = formats + "/" + engine.name;
    if (engine.name.ends_with(".log")) tree.remove(path);
    // The order of tables in a dumped Lua state is random, and Knuth's own TeX writes the minute of the day
    // into its formats whatever FORCE_SOURCE_DATE says. kpathsea makes a format that is missing when it is
    // first used.
    const bool differs = engine.name.starts_with("lua") || engine.name == "tex";
    for (const DirectoryEntry& file : entries_of(tree, path)) {
      if (file.name.ends_with(".log") || (differs && file.name.ends_with(".fmt")))
        tree.remove(path + "/" + file.name);
    }
  }
  for (const DirectoryEntry& file : entries_of(tree, top)) {
    if (!file.name.starts_with("ls-R")) continue;
    const bool is_ours = file.name == "ls-R";
    rewrite_if(tree, top + "/" + file.name, [&](std::string_view text) {
      return normalise_ls_r(text, [&](const std::string& path) {
        const std::string full = top + "/" + path;
        return !is_ours || tree.find(full) || tree.find_below(full);
      });
    });
  }
}

}  // namespace

std::optional<std::string> normalise_java_keystore(std::string_view bytes) {
  if (bytes.size() < kSha1Bytes) return std::nullopt;
  const auto data = bytes.substr(0, bytes.size() - kSha1Bytes);
  Reader reader(data);
  if (reader.number(4) != kJksMagic || reader.number(4) != kJksVersion) return std::nullopt;
  const std::uint64_t count = reader.number(4);
  if (count > kMaxCertificates || jks_digest(data) != bytes.substr(data.size())) return std::nullopt;
  std::map<std::string_view, std::string> entries;  // alias -> type and certificate
  for (std::uint64_t i = 0; i < count && !reader.failed(); ++i) {
    if (reader.number(4) != kJksCertificate) return std::nullopt;
    const auto alias = reader.take(reader.number(2));
    reader.number(8);  // when it came in
    const auto type = reader.take(reader.number(2));
    const auto certificate = reader.take(reader.number(4));
    std::string& entry = entries[alias];
    append_number(entry, type.size(), 2);
    entry.append(type);
    append_number(entry, certificate.size(), 4);
    entry.append(certificate);
  }
  if (reader.failed() || !reader.at_end() || entries.size() != count) return std::nullopt;
  std::string result;
  append_number(result, kJksMagic, 4);
  append_number(result, kJksVersion, 4);
  append_number(result, count, 4);
  for (const auto& [alias, entry] : entries) {
    append_number(result, kJksCertificate, 4);
    append_number(result, alias.size(), 2);
    result.append(alias);
    append_number(result, static_cast<std::uint64_t>(store::kSourceDateEpoch) * 1000, 8);
    result.append(entry);
  }
  return result + jks_digest(result);
}

std::optional<std::string> normalise_ls_r(std::string_view text, const IsThere& is_there) {
  auto first = text.find("\n./");
  if (!text.starts_with("% ls-R") || first++ == std::string_view::npos) return std::nullopt;
  std::string result(text.substr(0, first));
  std::map<std::string, std::set<std::string>> directories;
  std::set<std::string>* current = nullptr;
  for (text.remove_prefix(first); !text.empty();) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) {
      current = nullptr;
    } else if (current == nullptr) {
      if (!line.starts_with("./") || !line.ends_with(':')) return std::nullopt;
      current = &directories[std::string(line)];
    } else {
      current->emplace(line);
    }
  }
  for (const auto& [name, entries] : directories) {
    std::string path = name.substr(1, name.size() - 2);  // "./web2c:" -> "/web2c"
    if (path == "/") path.clear();
    result.append(name).append("\n");
    for (const std::string& entry : entries) {
      if (is_there((path + "/" + entry).substr(1))) result.append(entry).append("\n");
    }
    result += '\n';
  }
  return result;
}

std::optional<std::string> normalise_pieces(std::string_view text, const std::vector<std::string>& pieces) {
  std::size_t size = 0;
  for (const std::string& piece : pieces) size += piece.size();
  if (size > text.size()) return std::nullopt;
  std::string result(text.substr(0, text.size() - size));
  text.remove_prefix(result.size());
  std::vector<bool> found(pieces.size(), false);
  while (!text.empty()) {
    // One may begin with another.
    std::size_t longest = pieces.size();
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      if (found[i] || pieces[i].empty() || !text.starts_with(pieces[i])) continue;
      if (longest == pieces.size() || pieces[longest].size() < pieces[i].size()) longest = i;
    }
    if (longest == pieces.size()) return std::nullopt;
    found[longest] = true;
    text.remove_prefix(pieces[longest].size());
  }
  for (const std::string& piece : pieces) result.append(piece);
  return result;
}

std::optional<std::string> normalise_lfs_filter(std::string_view text) {
  constexpr std::string_view kHeader = "[filter \"lfs\"]\n";
  std::size_t begin = text.find(kHeader);
  if (begin == std::string_view::npos || (begin > 0 && text[begin - 1] != '\n')) return std::nullopt;
  begin += kHeader.size();
  std::map<std::string_view, std::string_view> settings;
  std::size_t end = begin;
  while (text.substr(end).starts_with('\t')) {
    const std::string_view line = text.substr(end, text.find('\n', end) - end);
    // A line that goes on in the next one, or whose key is there twice, has its meaning from its place.
    if (line.ends_with('\\') || !settings.emplace(line.substr(0, line.find('=')), line).second)
      return std::nullopt;
    end = std::min(end + line.size() + 1, text.size());
  }
  if (end < text.size() && text[end] != '[') return std::nullopt;
  std::string result(text.substr(0, begin));
  for (const auto& [key, line] : settings) result.append(line).append("\n");
  return result.append(text.substr(end));
}

void normalise_generated_files(const WorkTree& tree) {
  rewrite_if(tree, "etc/ssl/certs/java/cacerts", normalise_java_keystore);
  rewrite_if(tree, "etc/gitconfig", normalise_lfs_filter);
  normalise_tex(tree);
}

}  // namespace karapace::worker
