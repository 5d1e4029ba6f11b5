//! From the compiled-in defaults, the file, `rules.d`, the environment and the flags to one tree.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::complain::{Complaint, Origins, nearest};
use crate::node::{Entry, Node, Place, Value, expand, read};

/// The defaults, as shipped.
pub(crate) const DEFAULT: &str = include_str!("default.yaml");

/// Everything that a configuration is made from, told from outside: nothing here looks at the process.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The operator's file; none means the defaults.
    pub file: Option<PathBuf>,
    /// The process's environment: for `${NAME}`, and for `BEACONFIRE_SECTION__KEY`.
    pub env: BTreeMap<String, String>,
    /// What the command line says, last word.
    pub flags: Vec<Flag>,
}

/// One flag of the command line that stands for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// As typed: `--listen`.
    pub name: String,
    /// The key: `http.listen`.
    pub key: String,
    /// The value as typed.
    pub value: String,
}

impl Sources {
    /// The file that the command line or `$BEACONFIRE_CONFIG` names, else `./beaconfire.yaml` where there is one, else
    /// the defaults alone.
    pub fn find(file: Option<PathBuf>, env: BTreeMap<String, String>) -> Self {
        let named =
            file.or_else(|| env.get("BEACONFIRE_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from));
        let here = || Some(PathBuf::from("beaconfire.yaml")).filter(|path| path.exists());
        Self { file: named.or_else(here), env, flags: Vec::new() }
    }
}

/// A file larger than this is none of ours.
const FILE_MAX: u64 = 8 << 20;
/// Files in `rules.d` at most.
const RULE_FILES_MAX: usize = 1000;

/// The layers, laid on one another. Complaints go to `out`; what could be read is returned all the same.
pub(crate) fn gather(sources: &Sources, origins: &mut Origins, out: &mut Vec<Complaint>) -> Node {
    let mut tree = defaults(origins, out);
    if let Some(path) = &sources.file
        && let Some(file) = open(path, origins, &sources.env, out)
    {
        lay(&mut tree, file, origins, out);
        for path in rule_files(path, origins, out) {
            if let Some(mut file) = open(&path, origins, &sources.env, out) {
                only_rules(&mut file, origins, out);
                lay(&mut tree, file, origins, out);
            }
        }
    }
    for (name, text) in &sources.env {
        if let Some(path) = name.strip_prefix("BEACONFIRE_").filter(|path| path.contains("__")) {
            let origin = origins.word(format!("environment variable {name}"));
            let segments: Vec<&str> = path.split("__").collect();
            put(&mut tree, &segments, spoken(text, origin, origins), origins, out);
        }
    }
    for flag in &sources.flags {
        let origin = origins.word(format!("flag {}", flag.name));
        let segments: Vec<&str> = flag.key.split('.').collect();
        put(&mut tree, &segments, spoken(&flag.value, origin, origins), origins, out);
    }
    prune(&mut tree);
    tree
}

/// The defaults alone.
pub(crate) fn defaults(origins: &mut Origins, out: &mut Vec<Complaint>) -> Node {
    let origin = origins.file("default.yaml (compiled in)", DEFAULT, PathBuf::new());
    read(DEFAULT, origin, origins).unwrap_or_else(|complaint| {
        out.push(*complaint);
        Node::empty(Place::default())
    })
}

fn open(
    path: &Path,
    origins: &mut Origins,
    env: &BTreeMap<String, String>,
    out: &mut Vec<Complaint>,
) -> Option<Node> {
    let text = match std::fs::metadata(path) {
        Ok(found) if found.len() > FILE_MAX => Err(format!("it is larger than {} MiB", FILE_MAX >> 20)),
        Ok(_) => std::fs::read_to_string(path).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let name = path.display().to_string();
    let text = match text {
        Ok(text) => text,
        Err(said) => {
            let mut complaint = Complaint::error(format!("cannot read {name}: {said}"));
            complaint.nearest = similar_file(path);
            out.push(complaint);
            return None;
        }
    };
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let origin = origins.file(name, &text, folder);
    match read(&text, origin, origins) {
        Ok(mut node) if matches!(node.value, Value::Map(_)) => {
            expand(&mut node, env, origins, out);
            Some(node)
        }
        Ok(node) => {
            out.push(Complaint::error("a configuration is a mapping of sections").at(origins, node.place));
            None
        }
        Err(complaint) => {
            out.push(*complaint);
            None
        }
    }
}

/// The files of `rules.d` beside the file, by name.
fn rule_files(file: &Path, origins: &mut Origins, out: &mut Vec<Complaint>) -> Vec<PathBuf> {
    let folder = file.parent().unwrap_or(Path::new("")).join("rules.d");
    if !folder.is_dir() {
        return Vec::new();
    }
    let listed =
        match std::fs::read_dir(&folder).and_then(|entries| entries.take(RULE_FILES_MAX + 1).collect()) {
            Ok(listed) => listed,
            Err(error) => {
                out.push(Complaint::error(format!("cannot read {}: {error}", folder.display())));
                return Vec::new();
            }
        };
    let mut paths: Vec<PathBuf> =
        Vec::<std::fs::DirEntry>::into_iter(listed).map(|entry| entry.path()).collect();
    if paths.len() > RULE_FILES_MAX {
        out.push(Complaint::error(format!("{} holds more than {RULE_FILES_MAX} files", folder.display())));
        return Vec::new();
    }
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|end| end == "yml")) {
        let origin = origins.word(path.display().to_string());
        let place = Place { origin, ..Place::default() };
        out.push(
            Complaint::warning("this file is not read: only *.yaml is")
                .mend("rename it to end in .yaml")
                .at(origins, place),
        );
    }
    paths.retain(|path| path.extension().is_some_and(|end| end == "yaml"));
    paths
}

/// A file of `rules.d` may hold rules and lists, nothing else.
fn only_rules(file: &mut Node, origins: &Origins, out: &mut Vec<Complaint>) {
    if let Value::Map(entries) = &mut file.value {
        entries.retain(|entry| {
            let fits = matches!(entry.key.as_str(), "rules" | "lists");
            if !fits {
                out.push(
                    Complaint::error(format!("`{}` has no place in rules.d", entry.key))
                        .mend(
                            "files there hold `rules` and `lists`; everything else belongs in the main file",
                        )
                        .at(origins, entry.place),
                );
            }
            fits
        });
    }
}

/// Lays a file on what is there: mappings merge, rules of one name merge, everything else is replaced.
fn lay(tree: &mut Node, mut file: Node, origins: &Origins, out: &mut Vec<Complaint>) {
    let rules = file.take("rules");
    tree.lay(file);
    if let Some(entry) = rules {
        lay_rules(tree, entry, origins, out);
    }
}

fn lay_rules(tree: &mut Node, entry: Entry, origins: &Origins, out: &mut Vec<Complaint>) {
    let items = match entry.node.value {
        Value::List(items) => items,
        Value::Null => return,
        _ => {
            let said = "`rules` is a list: each rule begins with `- name:`";
            out.push(Complaint::error(said).at(origins, entry.node.place));
            return;
        }
    };
    let mut seen: BTreeMap<String, Place> = BTreeMap::new();
    for item in items {
        let name = item.get("name").and_then(Node::text).map(str::to_owned);
        if let Some(name) = &name
            && seen.insert(name.clone(), item.place).is_some()
        {
            out.push(
                Complaint::error(format!("the rule `{name}` stands twice in one file"))
                    .mend("merge the two; between files, the same name merges key by key")
                    .at(origins, item.get("name").map_or(item.place, |node| node.place)),
            );
            continue;
        }
        let Some(Node { value: Value::List(held), .. }) = tree.get_mut("rules") else {
            tree.lay(Node {
                place: entry.place,
                value: Value::Map(vec![Entry {
                    key: "rules".to_owned(),
                    place: entry.place,
                    node: Node { place: entry.place, value: Value::List(vec![item]) },
                }]),
            });
            continue;
        };
        match held
            .iter_mut()
            .find(|rule| name.is_some() && rule.get("name").and_then(Node::text) == name.as_deref())
        {
            Some(rule) => rule.lay_rule(item),
            None => held.push(item),
        }
    }
}

/// A value from a variable or flag: a list or mapping where it is written as one, else text that stands for any scalar.
fn spoken(text: &str, origin: u32, origins: &Origins) -> Node {
    let place = Place { origin, line: 0, column: 0, len: 1 };
    if text.starts_with(['[', '{'])
        && let Ok(mut node) = read(text, origin, origins)
        && !matches!(node.value, Value::Text(_))
    {
        settle(&mut node, place);
        return node;
    }
    Node { place, value: Value::Loose(text.to_owned()) }
}

/// Gives a tree that was read from one word that word's place, and lets its scalars stand for any.
fn settle(node: &mut Node, place: Place) {
    node.place = place;
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| settle(item, place)),
        Value::Map(entries) => {
            for entry in entries {
                entry.place = place;
                settle(&mut entry.node, place);
            }
        }
        Value::Text(text) => node.value = Value::Loose(std::mem::take(text)),
        _ => {}
    }
}

/// Puts a value at a path. A segment finds an existing key or named item in its shell spelling (`MY_SHOP` for
/// `my-shop`), or an item by its number; otherwise it makes the key.
fn put(tree: &mut Node, path: &[&str], value: Node, origins: &Origins, out: &mut Vec<Complaint>) {
    let Some((segment, rest)) = path.split_first() else {
        tree.lay(value);
        return;
    };
    let plain = |name: &str| name.to_lowercase().replace(['-', '.'], "_");
    let wanted = plain(segment);
    if let Value::List(items) = &mut tree.value {
        let count = items.len();
        let found = match segment.parse::<usize>() {
            Ok(at) if at == count => {
                items.push(Node::empty(value.place));
                items.last_mut()
            }
            Ok(at) => items.get_mut(at),
            Err(_) => items
                .iter_mut()
                .find(|item| item.get("name").and_then(Node::text).is_some_and(|name| plain(name) == wanted)),
        };
        match found {
            Some(item) if rest.is_empty() => *item = value,
            Some(item) => put(item, rest, value, origins, out),
            None => out.push(
                Complaint::error(format!("there is no item `{segment}` in this list of {count}"))
                    .mend("items are numbered from 0, or called by their `name`")
                    .at(origins, value.place),
            ),
        }
        return;
    }
    if !matches!(tree.value, Value::Map(_)) {
        *tree = Node::empty(value.place);
    }
    let Value::Map(entries) = &mut tree.value else { return };
    let at = match entries.iter().position(|entry| plain(&entry.key) == wanted) {
        Some(at) => at,
        None => {
            let key = segment.to_lowercase();
            entries.push(Entry {
                key,
                place: value.place,
                node: Node { place: value.place, value: Value::Null },
            });
            entries.len() - 1
        }
    };
    let entry = &mut entries[at];
    match rest {
        [] => {
            entry.place = value.place;
            entry.node = value;
        }
        // librdkafka's names have dots where a variable's name cannot.
        [property] if entry.key == "properties" => {
            let name = property.to_lowercase();
            let name = match name.strip_suffix("_file") {
                Some(name) => format!("{}_file", name.replace('_', ".")),
                None => name.replace('_', "."),
            };
            let place = value.place;
            let over = Node { place, value: Value::Map(vec![Entry { key: name, place, node: value }]) };
            if matches!(entry.node.value, Value::Null) {
                entry.node = over;
            } else {
                entry.node.lay(over);
            }
        }
        rest => put(&mut entry.node, rest, value, origins, out),
    }
}

/// A key with nothing behind it is as good as not written.
fn prune(node: &mut Node) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(prune),
        Value::Map(entries) => {
            entries.retain(|entry| !matches!(entry.node.value, Value::Null));
            entries.iter_mut().for_each(|entry| prune(&mut entry.node));
        }
        _ => {}
    }
}

/// Says, for a file that is not there, which one may have been meant.
fn similar_file(path: &Path) -> Option<String> {
    let wanted = path.file_name()?.to_str()?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names: Vec<String> = std::fs::read_dir(folder)
        .ok()?
        .take(RULE_FILES_MAX)
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    nearest(wanted, names.iter().map(String::as_str)).map(str::to_owned)
}
