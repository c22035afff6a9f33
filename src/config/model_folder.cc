// models_from_folder: the models of a folder that no configuration describes.
#include <algorithm>
#include <cctype>
#include <map>
#include <string_view>

#include "config/load.h"
#include "config/models_reader.h"

namespace tonnage {
namespace {

namespace fs = std::filesystem;

// "name-00002-of-00005": llama.cpp's naming of split models; 0 where it is not one.
int split_part(std::string_view stem) {
  constexpr std::size_t kTail = 15;  // "-00002-of-00005"
  if (stem.size() <= kTail)
    return 0;
  const std::string_view tail = stem.substr(stem.size() - kTail);
  const auto digits = [](std::string_view text) {
    return std::ranges::all_of(text, [](unsigned char c) { return std::isdigit(c) != 0; });
  };
  if (tail[0] != '-' || tail.substr(6, 4) != "-of-" || !digits(tail.substr(1, 5)) ||
      !digits(tail.substr(10))) {
    return 0;
  }
  return std::stoi(std::string(tail.substr(1, 5)));
}

bool is_model_file(const fs::path& path) {
  return path.extension() == ".gguf" && !path.stem().string().starts_with("mmproj") &&
         split_part(path.stem().string()) <= 1;
}

// "name" for "name-00001-of-00005".
std::string stem_of(const fs::path& path) {
  std::string stem = path.stem().string();
  if (split_part(stem) == 1)
    stem.resize(stem.size() - 15);
  return stem;
}

std::unexpected<Problems> wrong(const fs::path& folder, std::string text) {
  Problems problems;
  problems.add({folder.string()}, std::move(text));
  return std::unexpected(std::move(problems));
}

}  // namespace

std::expected<std::vector<FoundModel>, Problems> models_from_folder(const fs::path& folder) {
  std::error_code error;
  const fs::path root = fs::absolute(folder, error).lexically_normal();
  if (!fs::is_directory(root, error)) {
    return wrong(folder, fs::exists(root, error)
                             ? "it is not a folder; --models takes a folder of .gguf files"
                             : "there is no such folder; --models takes a folder of .gguf files");
  }
  std::vector<fs::path> files;
  fs::recursive_directory_iterator walk(root, fs::directory_options::skip_permission_denied, error);
  if (error)
    return wrong(folder, "the folder cannot be read: " + error.message());
  for (; walk != fs::recursive_directory_iterator(); walk.increment(error)) {
    if (walk->is_directory(error) && walk.depth() >= 1)
      walk.disable_recursion_pending();
    if (!walk->is_directory(error) && is_model_file(walk->path()))
      files.push_back(walk->path());
    if (files.size() > kModelsMax) {
      return wrong(folder, "more than " + std::to_string(kModelsMax) + " models");
    }
  }
  if (files.empty()) {
    return wrong(folder,
                 "no .gguf file in it or its sub-folders; put models there, or try "
                 "'tonnage serve --demo'");
  }
  std::ranges::sort(files);
  std::map<std::string, int> stems;
  for (const fs::path& file : files)
    ++stems[stem_of(file)];
  std::vector<FoundModel> found;
  for (const fs::path& file : files) {
    std::string id = stem_of(file);
    const fs::path parent = file.parent_path();
    if (stems[id] > 1 && parent != root)
      id = parent.filename().string() + "/" + id;
    found.push_back({std::move(id), file});
  }
  return found;
}

}  // namespace tonnage
