// SPDX-License-Identifier: Apache-2.0
#include "karapace/schema/preset.hpp"

#include <algorithm>
#include <array>

namespace karapace {
namespace {

constexpr std::array<Preset, 6> kPresets = {{
    {"dev", "General build tools", R"(# General build tools: a compiler, make and git.
manifest_version = 1

[base]
image = "debian/12"

[system]
packages = ["git", "curl", "wget", "vim", "gcc", "make", "cmake"]
)"},
    {"dev-rust", "Rust development",
     R"(# Rust development with Debian's toolchain.
manifest_version = 1

[base]
image = "debian/12"

[system]
packages = ["git", "curl", "ca-certificates", "gcc", "make", "cargo", "rustc"]
)"},
    {"dev-python", "Python development", R"(# Python development with pip and virtual environments.
manifest_version = 1

[base]
image = "debian/12"

[system]
packages = ["git", "curl", "python3", "python3-pip", "python3-venv"]
)"},
    {"gui-app", "A desktop application with graphics and sound",
     R"(# A desktop application: name it in gui.apps.
manifest_version = 1

[base]
image = "debian/12"

[gui]
apps = []

[hardware]
gpu = true
audio = true
)"},
    {"gaming", "Games with Vulkan", R"(# Games: Mesa, the Vulkan loader and sound.
manifest_version = 1

[base]
image = "debian/12"

[system]
packages = ["libgl1-mesa-dri", "libvulkan1", "mesa-vulkan-drivers", "libasound2-plugins"]

[hardware]
gpu = true
audio = true
)"},
    {"minimal", "The base image and nothing else", R"(# The base image and nothing else.
manifest_version = 1

[base]
image = "debian/12"
)"},
}};

constexpr std::array<Preset, 6> kTemplates = {{
    {"minimal", "The base image and nothing else",
     R"(# The smallest environment: a base image and nothing else.
# Add packages below and run `karapace build` again.
manifest_version = 1

[base]
image = "debian/12"

[system]
packages = []
)"},
    {"dev", "Editors, compilers and git", R"(# Everyday development: editors, compilers, build tools.
manifest_version = 1

[base]
image = "debian/12"

[system]
packages = ["git", "curl", "ca-certificates", "vim", "neovim", "tmux", "htop", "make", "cmake", "gcc", "clang"]

# label = "<host path>:<path inside>", with ":ro" at the end for read-only.
# "./" is the directory of this file.
[mounts]
workspace = "./:/workspace"
)"},
    {"gui-dev", "Development of desktop applications",
     R"(# Development of desktop applications, with graphics and sound of the host.
manifest_version = 1

[base]
image = "debian/12"

[system]
packages = ["git", "curl", "ca-certificates", "cmake", "gcc", "clang", "gdb", "libgl-dev", "libegl-dev"]

[gui]
apps = ["firefox-esr"]

[hardware]
gpu = true
audio = true

# label = "<host path>:<path inside>", with ":ro" at the end for read-only.
# "./" is the directory of this file.
[mounts]
workspace = "./:/workspace"
)"},
    {"rust-dev", "What Rust crates need to build",
     R"(# Rust with what crates with C parts need to build.
manifest_version = 1

[base]
image = "debian/12"

[system]
packages = ["git", "curl", "ca-certificates", "cargo", "rustc", "gcc", "make", "cmake", "pkg-config", "libssl-dev", "gdb"]

# label = "<host path>:<path inside>", with ":ro" at the end for read-only.
# "./" is the directory of this file.
[mounts]
workspace = "./:/workspace"
)"},
    {"ubuntu-dev", "Ubuntu 24.04 with compilers, Python and Node.js",
     R"(# Ubuntu 24.04 with compilers, Python and Node.js.
manifest_version = 1

[base]
image = "ubuntu/24.04"

[system]
packages = ["git", "curl", "build-essential", "cmake", "python3", "python3-pip", "nodejs", "npm"]

# label = "<host path>:<path inside>", with ":ro" at the end for read-only.
# "./" is the directory of this file.
[mounts]
workspace = "./:/workspace"
)"},
    {"debian-dev", "Debian 12 with compilers, Python and git",
     R"(# Debian 12 with compilers, Python and git. Every package is pinned in the lock file, so the same
# lock gives the same environment on every machine.
manifest_version = 1

[base]
image = "debian/12"

[system]
packages = ["git", "curl", "ca-certificates", "build-essential", "cmake", "gdb", "python3", "python3-venv"]

# label = "<host path>:<path inside>", with ":ro" at the end for read-only.
# "./" is the directory of this file.
[mounts]
workspace = "./:/workspace"
)"},
}};

std::optional<Preset> find_in(const std::vector<Preset>& list, std::string_view name) {
  const auto found =
      std::find_if(list.begin(), list.end(), [&](const Preset& preset) { return preset.name == name; });
  if (found == list.end()) return std::nullopt;
  return *found;
}

}  // namespace

const std::vector<Preset>& presets() {
  static const std::vector<Preset> kList(kPresets.begin(), kPresets.end());
  return kList;
}

const std::vector<Preset>& templates() {
  static const std::vector<Preset> kList(kTemplates.begin(), kTemplates.end());
  return kList;
}

std::optional<Preset> find_preset(std::string_view name) { return find_in(presets(), name); }

std::optional<Preset> find_template(std::string_view name) { return find_in(templates(), name); }

}  // namespace karapace
