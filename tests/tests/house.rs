//! The rules of the house, executed: who may import whom, how large a file may be, what every
//! crate declares. Each rule is a function from text to complaints, with a test that feeds it a
//! breach.
#![expect(clippy::unwrap_used, reason = "a test that cannot read the tree fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// Everything, for composition roots.
const ANY: &[&str] = &["*"];

/// Which crates of ours each crate may depend on.
const CRATES: &[(&str, &[&str])] = &[
    ("weft-proto", &[]),
    ("weft-pki", &["weft-proto"]),
    ("weft-raft", &["weft-proto", "weft-pki"]),
    ("weft-manager", &["weft-proto", "weft-pki", "weft-raft"]),
    // Knows Linux and no word of clusters, hence not even the types of one.
    ("weft-kernel", &[]),
    (
        "weft-worker",
        &["weft-proto", "weft-pki", "weft-kernel", "weft-router"],
    ),
    ("weft-router", &["weft-proto"]),
    ("weft", ANY),
    // Uses the product as a program only; links and namespaces are Linux, not product.
    ("weft-rig", &["weft-proto", "weft-kernel"]),
    ("weft-tests", ANY),
    // Judges what clients saw, of any cluster.
    ("weft-history", &[]),
    ("weft-sim", ANY),
    ("weft-chaos", ANY),
    // Measures rooms from inside where no machine could host the sizes.
    ("weft-bench", ANY),
];

/// One row of a room table: a module at the top of a crate, the rooms it may import, and the
/// foreign crates it must not name.
struct Row {
    room: &'static str,
    imports: &'static [&'static str],
    never: &'static [&'static str],
}

const fn row(
    room: &'static str,
    imports: &'static [&'static str],
    never: &'static [&'static str],
) -> Row {
    Row {
        room,
        imports,
        never,
    }
}

/// Decides in pure code on views of the store: no consensus, no network.
const LOOPS: &[&str] = &["tonic", "openraft", "weft_raft", "sled"];
/// Speaks to others, but leaves the log's engine to the Raft crate.
const NO_ENGINE: &[&str] = &["openraft", "sled"];

const MANAGER: &[Row] = &[
    row("run", ANY, &[]),
    // Who makes a call, for whoever proposes while it is served.
    row("acting", &["store"], LOOPS),
    // Leadership is what starts and stops the loops.
    row(
        "leader",
        &[
            "orchestrator",
            "scheduler",
            "allocator",
            "material",
            "entropy",
            "consensus",
            "keys",
            "store",
            "propose",
        ],
        &["tonic"],
    ),
    row(
        "api",
        &[
            "acting",
            "people",
            "store",
            "propose",
            "entropy",
            "logs",
            "managers",
            "status",
            "quorum",
            // What a backup is.
            "recovery",
            // Who is let in by a person becomes a node as whoever joins does.
            "ca",
            "material",
            // Pure choices of numbers and addresses for what is made by hand.
            "allocator",
            // What services should have and how they go back, as the orchestrator sees it.
            "orchestrator",
        ],
        NO_ENGINE,
    ),
    row(
        "dispatcher",
        &["store", "propose", "logs", "keys"],
        NO_ENGINE,
    ),
    // Which keys there are and who is told which.
    row("keys", &["store"], LOOPS),
    row(
        "ca",
        &[
            "acting",
            "store",
            "propose",
            "entropy",
            "managers",
            "status",
            "allocator",
        ],
        NO_ENGINE,
    ),
    row(
        "departure",
        &["api", "ca", "store", "propose", "status", "quorum"],
        NO_ENGINE,
    ),
    // Counts, nothing else.
    row("quorum", &["store"], LOOPS),
    // Opens and makes logs while no manager runs on them.
    row(
        "recovery",
        &["acting", "store", "consensus", "ca", "allocator", "vault"],
        NO_ENGINE,
    ),
    // Who people are; the API answers their calls.
    row(
        "people",
        &[
            "acting", "store", "propose", "entropy", "managers", "status", "ca",
        ],
        NO_ENGINE,
    ),
    // Knows callers and calls, and nothing of what the calls do.
    row("authz", &["acting"], NO_ENGINE),
    // What other managers ask of this one; neither consensus nor the logs know it.
    row("peer", &["consensus", "leader", "logs"], NO_ENGINE),
    row("logs", &["store"], NO_ENGINE),
    row("managers", &["store"], LOOPS),
    // Who uses which version of a secret or config.
    row("material", &["store"], LOOPS),
    row("status", &["allocator", "propose"], NO_ENGINE),
    row("entropy", &[], LOOPS),
    // The keys of what lies on the disk.
    row("vault", &[], NO_ENGINE),
    // Never each other.
    row("orchestrator", &["store"], LOOPS),
    row("scheduler", &["store"], LOOPS),
    row("allocator", &["store"], LOOPS),
    // Turns the Raft crate into a `Proposer`: log entries in, store changes out.
    row(
        "consensus",
        &["acting", "store", "propose", "entropy", "vault"],
        NO_ENGINE,
    ),
    // The actor only in the stand-in for tests.
    row("propose", &["acting", "store"], NO_ENGINE),
    row("store", &[], LOOPS),
];

const NO_LINUX: &[&str] = &["weft_kernel", "rtnetlink", "nlink", "nix"];
const NO_CLUSTER: &[&str] = &["tonic", "weft_pki"];

const WORKER: &[Row] = &[
    row("run", ANY, &[]),
    // The runtime for what tasks wrote: logs go straight from disk to whom asked.
    row(
        "agent",
        &["desired", "observed", "db", "describe", "runtime", "keys"],
        NO_LINUX,
    ),
    row("describe", &[], NO_LINUX),
    row(
        "reconciler",
        &[
            "desired",
            "observed",
            "dataplane",
            "network",
            "runtime",
            "dns",
            "task",
        ],
        NO_CLUSTER,
    ),
    // One round over all that tasks are connected by. The ingress plugs itself in from below.
    row("dataplane", &["desired", "network", "dns"], NO_CLUSTER),
    row("ingress", &["desired", "dataplane", "rules"], NO_CLUSTER),
    // The resolver of a task is part of its namespace.
    row("network", &["desired", "dns", "rules"], NO_CLUSTER),
    row("rules", &[], NO_CLUSTER),
    row("dns", &[], NO_CLUSTER),
    row("task", &["runtime"], NO_CLUSTER),
    row("runtime", &["durable"], NO_CLUSTER),
    row("desired", &[], NO_LINUX),
    row("observed", &[], NO_LINUX),
    row("db", &["desired", "durable"], NO_LINUX),
    row("keys", &["durable"], NO_LINUX),
    row("durable", &[], NO_LINUX),
    row("bin", ANY, &[]),
];

/// The kernel crate names no crate that speaks of clusters, whatever its manifest says.
const KERNEL_NEVER: &[&str] = &[
    "weft_proto",
    "weft_pki",
    "weft_worker",
    "tonic",
    "prost",
    "openraft",
];

const FILE_MAX: usize = 700;
const PORCH_MAX: usize = 100;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &[
    "util",
    "utils",
    "common",
    "helper",
    "helpers",
    "misc",
    "core_utils",
    "stuff",
];

// ---- the rules -------------------------------------------------------------------------------

/// Dependencies of ours in a manifest, without those of tests.
fn own_dependencies(manifest: &str) -> Vec<String> {
    let mut section = "";
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
            continue;
        }
        let product = section.ends_with("dependencies]") && !section.contains("dev-");
        let name: String = line
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
            .collect();
        if product && (name.starts_with("weft-") || name == "weft") {
            found.push(name);
        }
    }
    found
}

fn crate_complaints(name: &str, manifest: &str) -> Vec<String> {
    let Some((_, allowed)) = CRATES.iter().find(|(krate, _)| *krate == name) else {
        return vec![format!("crate {name} has no row in CRATES")];
    };
    let forbidden = |dep: &String| *allowed != ANY && !allowed.contains(&dep.as_str());
    let mut complaints: Vec<String> = own_dependencies(manifest)
        .into_iter()
        .filter(forbidden)
        .map(|dep| format!("crate {name} must not depend on {dep}"))
        .collect();
    if !manifest
        .replace(' ', "")
        .contains("[lints]\nworkspace=true")
    {
        complaints.push(format!("crate {name} lacks `[lints] workspace = true`"));
    }
    complaints
}

/// The code of a file without comments and without its test module.
fn product_code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    let code = text.get(..end).unwrap_or_default();
    let strip = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    code.lines().map(strip).collect::<Vec<_>>().join("\n")
}

/// Words that directly follow `prefix` in code, `{a, b}` groups included.
fn words_after(code: &str, prefix: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        let before = code.get(..at).and_then(|head| head.chars().next_back());
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
            continue;
        }
        let rest = code.get(at + prefix.len()..).unwrap_or_default();
        match rest.strip_prefix('{') {
            Some(group) => {
                let group = group.split(';').next().unwrap_or_default();
                found.extend(group.split(',').map(first_word));
            }
            None => {
                found.insert(first_word(rest));
            }
        }
    }
    found.remove("");
    found
}

fn first_word(text: &str) -> String {
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '{');
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// The room a file is in, and how deep its module is below the crate's root. `inner` is the path
/// below `src`.
fn room_of(inner: &Path) -> (String, usize) {
    let mut parts: Vec<String> = inner
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    (parts.first().cloned().unwrap_or_default(), parts.len())
}

/// Rooms of its own crate that a file names, by `crate::` or by enough `super::`.
fn named_rooms(code: &str, depth: usize) -> BTreeSet<String> {
    let mut named = words_after(code, "crate::");
    named.extend(words_after(code, &"super::".repeat(depth)));
    named
}

fn room_complaints(table: &[Row], inner: &Path, text: &str) -> Vec<String> {
    let (room, depth) = room_of(inner);
    if room == "lib" || room == "main" {
        return Vec::new();
    }
    let Some(row) = table.iter().find(|row| row.room == room) else {
        return vec![format!(
            "{}: room {room} has no row in the table",
            inner.display()
        )];
    };
    let code = product_code(text);
    let rooms: BTreeSet<&str> = table.iter().map(|row| row.room).collect();
    let named = named_rooms(&code, depth);
    let allowed = |other: &str| row.imports == ANY || row.imports.contains(&other) || other == room;
    let inside = named
        .iter()
        .filter(|other| rooms.contains(other.as_str()) && !allowed(other))
        .map(|other| format!("{}: room {room} must not import {other}", inner.display()));
    let outside = foreign(&code, row.never)
        .map(|krate| format!("{}: room {room} must not name {krate}", inner.display()));
    inside.chain(outside).collect()
}

fn foreign<'a>(code: &str, never: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    never
        .iter()
        .copied()
        .filter(move |krate| !words_after(code, &format!("{krate}::")).is_empty())
}

fn size_complaints(path: &Path, text: &str) -> Vec<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let max = if name == "lib.rs" || name == "main.rs" {
        PORCH_MAX
    } else {
        FILE_MAX
    };
    let lines = text.lines().count();
    let long = lines > max;
    long.then(|| format!("{} has {lines} lines, more than {max}", path.display()))
        .into_iter()
        .collect()
}

fn porch_complaints(path: &Path, text: &str) -> Vec<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let porch = name == "lib.rs" || name == "main.rs";
    let open = porch && !text.contains("#![forbid(unsafe_code)]");
    open.then(|| format!("{} lacks `#![forbid(unsafe_code)]`", path.display()))
        .into_iter()
        .collect()
}

fn name_complaints(path: &Path) -> Vec<String> {
    let empty = |part: &std::ffi::OsStr| {
        let part = part.to_string_lossy();
        EMPTY_NAMES.contains(&part.strip_suffix(".rs").unwrap_or(&part))
    };
    // `tests/common/` is Cargo's own idiom for what a crate's test programs share.
    let idiom = path
        .parent()
        .is_some_and(|folder| folder.ends_with("tests/common"));
    let bad = !idiom && path.iter().any(empty);
    bad.then(|| {
        format!(
            "{}: the name says nothing about its subject",
            path.display()
        )
    })
    .into_iter()
    .collect()
}

/// The product stands on its own: nothing in it points to where it was made.
fn mention_complaints(path: &Path, text: &str) -> Vec<String> {
    // Put together here, or this file would break its own rule.
    let outside = [
        ["..", "shared"].join("/"),
        ["/work", "shared"].join("/"),
        ["/work", "wt"].join("/"),
    ];
    let found = outside.iter().filter(|word| text.contains(word.as_str()));
    found
        .map(|word| format!("{} mentions {word}", path.display()))
        .collect()
}

// ---- the tree --------------------------------------------------------------------------------

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Folders of the workspace's crates.
fn members() -> Vec<PathBuf> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let list = manifest
        .split("members = [")
        .nth(1)
        .unwrap()
        .split(']')
        .next()
        .unwrap();
    let names = list.split(',').map(|name| name.trim().trim_matches('"'));
    names
        .filter(|name| !name.is_empty())
        .map(PathBuf::from)
        .collect()
}

fn package(manifest: &str) -> &str {
    let line = manifest
        .lines()
        .find(|line| line.starts_with("name = "))
        .unwrap();
    line.trim_start_matches("name = ").trim_matches('"')
}

/// All files below `dir` (relative to the root), without what is built or hidden.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(dir)).into_iter().flatten() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = dir.join(&name);
        if entry.file_type().unwrap().is_dir() {
            if name != "target" && name != ".git" {
                found.extend(files(&path));
            }
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

/// Sources of one crate, with their path below `src`; members inside it are crates of their own.
fn sources(member: &Path) -> Vec<(PathBuf, PathBuf)> {
    let src = member.join("src");
    let inner = |path: PathBuf| (path.strip_prefix(&src).unwrap().to_owned(), path);
    files(&src)
        .into_iter()
        .filter(|path| is_rust(path))
        .map(inner)
        .collect()
}

fn is_test_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let named = ["tests.rs", "fixture.rs", "fixtures.rs"].contains(&name.as_ref());
    named || name.ends_with("_tests.rs") || path.iter().any(|part| part == "tests")
}

fn read(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_default()
}

fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn every_crate_depends_only_on_those_it_may_and_takes_the_workspace_lints() {
    let complaints = members().into_iter().flat_map(|member| {
        let manifest = read(&member.join("Cargo.toml"));
        crate_complaints(package(&manifest), &manifest)
    });
    assert_none(&complaints.collect::<Vec<_>>());
}

#[test]
fn every_room_imports_only_those_it_may() {
    let mut complaints = Vec::new();
    for (member, table) in [("manager", MANAGER), ("worker", WORKER)] {
        for (inner, path) in sources(Path::new(member)) {
            if !is_test_file(&path) {
                complaints.extend(room_complaints(table, &inner, &read(&path)));
            }
        }
    }
    assert_none(&complaints);
}

#[test]
fn every_row_is_about_a_room_that_exists() {
    for (member, table) in [("manager", MANAGER), ("worker", WORKER)] {
        let there: BTreeSet<String> = sources(Path::new(member))
            .iter()
            .map(|(inner, _)| room_of(inner).0)
            .collect();
        for row in table {
            for room in row.imports.iter().chain([&row.room]) {
                assert!(
                    *room == "*" || there.contains(*room),
                    "{member} has no room {room}"
                );
            }
        }
    }
}

#[test]
fn the_kernel_crate_knows_no_word_of_clusters() {
    let mut complaints = Vec::new();
    for (_, path) in sources(Path::new("worker/kernel")) {
        let code = product_code(&read(&path));
        complaints.extend(
            foreign(&code, KERNEL_NEVER).map(|krate| format!("{} names {krate}", path.display())),
        );
    }
    assert_none(&complaints);
}

#[test]
fn every_source_file_fits_in_the_head_and_forbids_unsafe_code() {
    let mut complaints = Vec::new();
    for member in members() {
        for (_, path) in sources(&member) {
            let text = read(&path);
            complaints.extend(size_complaints(&path, &text));
            complaints.extend(porch_complaints(&path, &text));
        }
    }
    assert_none(&complaints);
}

#[test]
fn every_file_name_says_what_is_inside() {
    let rust = files(Path::new(""))
        .into_iter()
        .filter(|path| is_rust(path));
    assert_none(
        &rust
            .flat_map(|path| name_complaints(&path))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn no_file_points_outside_the_repository() {
    let all = files(Path::new(""));
    assert_none(
        &all.iter()
            .flat_map(|path| mention_complaints(path, &read(path)))
            .collect::<Vec<_>>(),
    );
}

// ---- proof that each rule can fail -----------------------------------------------------------

const LINTS: &str = "[lints]\nworkspace = true\n";

#[test]
fn the_crate_rule_finds_a_forbidden_dependency_a_missing_row_and_missing_lints() {
    let manifest = format!("{LINTS}[dependencies]\nweft-worker.workspace = true\n");
    assert_eq!(
        crate_complaints("weft-manager", &manifest),
        ["crate weft-manager must not depend on weft-worker"]
    );
    let kernel = format!("{LINTS}[dependencies]\nweft-proto = {{ path = \"x\" }}\n");
    assert_eq!(crate_complaints("weft-kernel", &kernel).len(), 1);
    assert_eq!(
        crate_complaints("weft-new", LINTS),
        ["crate weft-new has no row in CRATES"]
    );
    assert_eq!(crate_complaints("weft-pki", "").len(), 1);
    let tests = format!("{LINTS}[dev-dependencies]\nweft-rig.workspace = true\n");
    assert_eq!(crate_complaints("weft-worker", &tests), [] as [&str; 0]);
}

#[test]
fn the_room_rule_finds_neighbours_by_crate_by_super_and_in_groups() {
    let check = |path: &str, text: &str| room_complaints(MANAGER, Path::new(path), text).len();
    assert_eq!(
        check(
            "scheduler/spread.rs",
            "use crate::store::View;\nuse crate::store::State;"
        ),
        0
    );
    assert_eq!(
        check("scheduler/spread.rs", "use crate::orchestrator::Slot;"),
        1
    );
    assert_eq!(
        check("scheduler/spread.rs", "use super::super::allocator::Ipam;"),
        1
    );
    assert_eq!(check("scheduler/mod.rs", "use super::consensus::Node;"), 1);
    assert_eq!(check("scheduler.rs", "fn f() { crate::api::g() }"), 1);
    assert_eq!(
        check("scheduler.rs", "use crate::{store::View, consensus::Node};"),
        1
    );
    assert_eq!(check("allocator/ipam.rs", "use tonic::Status;"), 1);
    assert_eq!(check("surprise.rs", ""), 1);
}

#[test]
fn the_room_rule_reads_neither_comments_nor_tests() {
    let text = "/// See [`crate::consensus::Node`].\nuse crate::store::View;\n\
                #[cfg(test)]\nmod tests {\n use crate::consensus::Node;\n}";
    let path = Path::new("scheduler/spread.rs");
    assert_eq!(room_complaints(MANAGER, path, text), [] as [&str; 0]);
}

#[test]
fn the_agent_and_the_reconciler_do_not_know_each_other() {
    let check = |path: &str, text: &str| room_complaints(WORKER, Path::new(path), text).len();
    assert_eq!(check("agent/session.rs", "use crate::reconciler::Loop;"), 1);
    assert_eq!(
        check("reconciler/order.rs", "use crate::agent::Session;"),
        1
    );
    assert_eq!(check("agent/report.rs", "use weft_kernel::Netns;"), 1);
    assert_eq!(check("network/apply.rs", "use weft_kernel::Netns;"), 0);
}

#[test]
fn the_kernel_rule_finds_a_cluster_crate() {
    assert_eq!(foreign("use weft_proto::NodeId;", KERNEL_NEVER).count(), 1);
    assert_eq!(
        foreign("use weft_proto_like::NodeId;", KERNEL_NEVER).count(),
        0
    );
}

#[test]
fn the_size_rule_finds_long_files_and_long_porches() {
    let lines = |count: usize| "x\n".repeat(count);
    assert_eq!(
        size_complaints(Path::new("a/src/b.rs"), &lines(FILE_MAX)).len(),
        0
    );
    assert_eq!(
        size_complaints(Path::new("a/src/b.rs"), &lines(FILE_MAX + 1)).len(),
        1
    );
    assert_eq!(
        size_complaints(Path::new("a/src/lib.rs"), &lines(PORCH_MAX + 1)).len(),
        1
    );
}

#[test]
fn the_porch_rule_finds_a_crate_that_would_allow_unsafe_code() {
    assert_eq!(
        porch_complaints(Path::new("a/src/lib.rs"), "//! Doc.").len(),
        1
    );
    assert_eq!(
        porch_complaints(Path::new("a/src/lib.rs"), "#![forbid(unsafe_code)]").len(),
        0
    );
}

#[test]
fn the_name_rule_finds_files_and_folders_that_say_nothing() {
    assert_eq!(name_complaints(Path::new("worker/src/utils.rs")).len(), 1);
    assert_eq!(
        name_complaints(Path::new("worker/src/common/x.rs")).len(),
        1
    );
    assert_eq!(
        name_complaints(Path::new("worker/src/commonality.rs")).len(),
        0
    );
}

#[test]
fn the_mention_rule_finds_a_pointer_outside() {
    let text = format!("see {}/design", ["..", "shared"].join("/"));
    assert_eq!(mention_complaints(Path::new("README.md"), &text).len(), 1);
}

#[test]
fn the_rules_look_at_the_real_tree() {
    let members = members();
    assert!(members.len() >= 9, "{members:?}");
    let seen: usize = members.iter().map(|member| sources(member).len()).sum();
    assert!(seen >= members.len(), "only {seen} sources in {members:?}");
    assert!(files(Path::new("")).len() > seen);
}
