// ModelFiles: every file that a model is made of, with its identity: the parts of a split model,
// and the files that its configuration or its arguments name beside it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "core/types.h"

namespace tonnage {

enum class FileRole : std::uint8_t {
  model,
  draft,           // a small model that proposes tokens
  projector,       // turns images or sound into tokens (mmproj)
  adapter,         // LoRA
  control_vector,  // added to the activations of layers
  other,  // read when the server starts: a template, a grammar; takes no memory to speak of
};

std::string_view to_text(FileRole role);

// A file as a user named it. Of a split model the first part stands for all.
struct NamedFile {
  FileRole role = FileRole::model;
  std::string path;
  std::string named_by;  // "gguf", "draft", "args: --lora"; for messages

  friend bool operator==(const NamedFile&, const NamedFile&) = default;
};

// One file on the disk.
struct ModelFile {
  FileRole role = FileRole::model;
  std::string path;
  FileId id;
  Bytes size;
  std::int64_t modified_s = 0;  // Unix time

  friend bool operator==(const ModelFile&, const ModelFile&) = default;
};

struct ModelFiles {
  std::vector<ModelFile> files;  // as they were named; parts follow each other

  // One for all of them: it changes when any of them is exchanged, added or left out.
  FileId identity() const;

  friend bool operator==(const ModelFiles&, const ModelFiles&) = default;
};

// Looks at every file, parts included. An error names the first one that cannot be used: missing,
// not a regular file, not readable. Blocks for as long as the file system does: not for the loop.
Result<ModelFiles> read_model_files(std::span<const NamedFile> named);

// The files that make up a model, by their names alone: `path` itself, and for a first part
// ("x-00001-of-00003.gguf") the others that its name announces.
std::vector<std::string> parts_of(const std::string& path);

// "-00002-of-00003.gguf", as llama.cpp's gguf-split names its files.
std::string split_suffix(std::int64_t number, std::int64_t count);

// More parts than any published model has.
inline constexpr std::int64_t kPartsMax = 1024;

// What "cannot be used" errors begin with.
inline constexpr const char* kCannotReadModel = "cannot read model file";

// Identity of one file's content as it is now (device, inode, size, modification time): two looks
// at an unchanged file are equal. `fd` is open.
Result<ModelFile> look_at(int fd, const std::string& path);

// One identity made of two. The order counts.
FileId combined(FileId a, FileId b);

}  // namespace tonnage
