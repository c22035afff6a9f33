// models_from_folder: the models of a folder that no configuration describes.
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <string_view>

#include "base/text.h"
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

// A folder's own records, links of editors, what macOS writes beside a file, trash.
bool is_hidden(const fs::path& path) {
  return path.filename().string().starts_with('.');
}

bool is_model_file(const fs::path& path) {
  const std::string stem = path.stem().string();
  return to_lower(path.extension().string()) == ".gguf" && !is_hidden(path) &&
         to_lower(stem).find("mmproj") == std::string::npos && split_part(stem) <= 1;
}

// Other programs keep publisher/model/file.gguf, or models--publisher--model/snapshots/REVISION.
constexpr int kDepthMax = 3;

// "name" for "name-00001-of-00005".
std::string stem_of(const fs::path& path) {
  std::string stem = path.stem().string();
  if (split_part(stem) == 1)
    stem.resize(stem.size() - 15);
  return stem;
}

// Why a file with the name of a model is none; empty where it is one.
std::string unusable(const fs::directory_entry& entry) {
  std::error_code error;
  const fs::file_status status = entry.status(error);
  if (entry.is_symlink(error) && !fs::exists(status))
    return "it is a link to a file that does not exist";
  if (fs::is_directory(status))
    return "it is a directory";
  if (!fs::is_regular_file(status))
    return "it is not a regular file";
  if (::access(entry.path().c_str(), R_OK) != 0)
    return "it cannot be read; check its permissions";
  return {};
}

// `id`, or the first one with a number behind it that is not taken.
std::string free_id(const std::string& id, const std::set<std::string>& taken) {
  if (!taken.contains(id))
    return id;
  for (int number = 2;; ++number) {
    std::string numbered = id + "-" + std::to_string(number);
    if (!taken.contains(numbered))
      return numbered;
  }
}

std::unexpected<Problems> wrong(const fs::path& folder, std::string text) {
  Problems problems;
  problems.add({folder.string()}, std::move(text));
  return std::unexpected(std::move(problems));
}

// Ids for files, in their order. Names that may be ids keep them, whoever else would like them.
void name_models(const std::vector<fs::path>& files, const fs::path& root, FoundModels& found) {
  std::map<std::string, int> stems;
  for (const fs::path& file : files)
    ++stems[stem_of(file)];
  std::vector<std::string> names;
  std::set<std::string> taken;
  for (const fs::path& file : files) {
    std::string name = stem_of(file);
    const fs::path parent = file.parent_path();
    if (stems[name] > 1 && parent != root)
      name = parent.lexically_relative(root).generic_string() + "/" + name;
    if (wrong_model_name(name).empty())
      taken.insert(name);
    names.push_back(std::move(name));
  }
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (wrong_model_name(names[i]).empty()) {
      found.models.push_back({names[i], files[i]});
      continue;
    }
    const std::string id = free_id(model_name_of(names[i]), taken);
    taken.insert(id);
    found.models.push_back({id, files[i]});
    found.notes.push_back(files[i].string() + " is served as '" + id +
                          "': its own name cannot be a model id");
  }
}

}  // namespace

std::expected<FoundModels, Problems> models_from_folder(const fs::path& folder) {
  std::error_code error;
  const fs::path root = fs::absolute(folder, error).lexically_normal();
  if (!fs::is_directory(root, error)) {
    return wrong(folder, fs::exists(root, error)
                             ? "it is not a folder; --models takes a folder of .gguf files"
                             : "there is no such folder; --models takes a folder of .gguf files");
  }
  FoundModels found;
  std::vector<fs::path> files;
  fs::recursive_directory_iterator walk(root, fs::directory_options::skip_permission_denied, error);
  if (error)
    return wrong(folder, "the folder cannot be read: " + error.message());
  for (; walk != fs::recursive_directory_iterator(); walk.increment(error)) {
    if (walk->is_directory(error) && (walk.depth() >= kDepthMax || is_hidden(walk->path())))
      walk.disable_recursion_pending();
    if (!is_model_file(walk->path()))
      continue;
    if (const std::string why = unusable(*walk); why.empty()) {
      files.push_back(walk->path());
    } else if (found.notes.size() < kModelsMax) {
      found.notes.push_back(walk->path().string() + " is not served: " + why);
    }
    if (files.size() > kModelsMax) {
      return wrong(folder, "more than " + std::to_string(kModelsMax) + " models");
    }
  }
  if (files.empty()) {
    std::string text =
        "no .gguf file in it or its sub-folders; put models there, or try "
        "'tonnage serve --demo'";
    for (const std::string& note : found.notes)
      text += "\n" + note;
    return wrong(folder, text);
  }
  std::ranges::sort(files);
  std::ranges::sort(found.notes);
  name_models(files, root, found);
  return found;
}

}  // namespace tonnage
