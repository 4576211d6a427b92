//! Style that is worth repeating in review is a test: the arrows between crates, module docs, lengths,
//! who may print, and no paths of somebody's machine. Each check is a pure function from a path and a text
//! to findings, and each has a sample that it must object to.
#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;
const MODULE_DOC_LINES_MAX: usize = 5;

/// Crates that the named package must not depend on, at run or build time.
const FORBIDDEN_DEPENDENCIES: &[(&str, &[&str])] = &[
    (
        "Cargo.toml",
        &["patchcord", "patchcord-peer", "patchcord-server", "patchcord-simulation", "webrtc", "rtc"],
    ),
    ("server/Cargo.toml", &["patchcord", "patchcord-peer", "patchcord-simulation", "webrtc", "rtc"]),
    ("peer/Cargo.toml", &["patchcord", "patchcord-server", "patchcord-simulation"]),
    ("tui-client/Cargo.toml", &["patchcord-proto", "patchcord-simulation", "tonic", "webrtc", "rtc"]),
    ("bench/Cargo.toml", &["patchcord", "patchcord-simulation"]),
    ("simulation/Cargo.toml", &["patchcord", "webrtc", "rtc"]),
];

/// Crates that files under a folder must not name, except in files that begin with one of the last list.
const FORBIDDEN_NAMES: &[(&str, &[&str], &[&str])] = &[
    ("proto/", &["patchcord_peer", "patchcord_server", "webrtc", "rtc"], &[]),
    ("server/src/", &["patchcord_peer", "webrtc", "rtc"], &[]),
    (
        "peer/src/",
        &["webrtc", "rtc"],
        &["peer/src/connection.rs", "peer/src/connection/", "peer/src/runtime"],
    ),
    // In a test that needs the library's own connection in the hands of somebody else.
    ("peer/src/", &["patchcord_server"], &["peer/src/link/tests/hostile.rs"]),
    ("peer/examples/", &["webrtc", "rtc", "patchcord_server", "tonic"], &[]),
    ("tui-client/src/", &["patchcord_proto", "tonic", "webrtc", "rtc"], &[]),
    ("tui-client/src/", &["patchcord_server"], &["tui-client/src/host"]),
    ("simulation/src/", &["patchcord_proto", "webrtc", "rtc"], &[]),
];

/// What is below the terminal client says what it has to say through `tracing` and through its API.
const SILENT: &[&str] = &["proto/", "server/src/", "peer/src/"];
/// A test that tells figures.
const TELLING: &str = "server/src/signaling/model.rs";
const PRINTING: &[&str] = &["println", "print", "eprintln", "eprint", "dbg"];

#[test]
fn dependencies_point_the_way_the_design_says() {
    let findings = FORBIDDEN_DEPENDENCIES.iter().flat_map(|(manifest, forbidden)| {
        wrong_dependencies(manifest, &std::fs::read_to_string(root().join(manifest)).unwrap(), forbidden)
    });
    none(findings);
}

#[test]
fn nothing_but_the_simulation_asks_for_numbers_that_can_be_foretold() {
    none(text_files().filter(|(path, _)| path.ends_with("Cargo.toml")).flat_map(|(path, text)| {
        if path == "simulation/Cargo.toml" { Vec::new() } else { simulated(&path, &text) }
    }));
}

#[test]
fn sources_name_only_the_crates_that_the_design_lets_them() {
    none(rust_files().flat_map(|(path, text)| wrong_names(&path, &text)));
}

#[test]
fn only_programs_print() {
    none(rust_files().flat_map(|(path, text)| prints(&path, &text)));
}

#[test]
fn every_rust_file_opens_with_its_purpose() {
    none(rust_files().flat_map(|(path, text)| module_doc(&path, &text)));
}

#[test]
fn files_and_functions_are_short() {
    none(rust_files().flat_map(|(path, text)| too_long(&path, &text)));
}

#[test]
fn no_text_names_a_path_of_somebodys_machine() {
    none(text_files().flat_map(|(path, text)| machine_paths(&path, &text)));
}

#[test]
fn the_dockerfile_builds_dependencies_from_every_manifest() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    none(
        manifests_left_out(&manifest, &std::fs::read_to_string(root().join("Dockerfile")).unwrap())
            .into_iter(),
    );
}

fn wrong_dependencies(path: &str, manifest: &str, forbidden: &[&str]) -> Vec<String> {
    let manifest: toml::Table = manifest.parse().unwrap();
    let targets = manifest.get("target").and_then(|targets| targets.as_table());
    let tables = std::iter::once(&manifest).chain(
        targets.into_iter().flat_map(|targets| targets.values()).filter_map(|target| target.as_table()),
    );
    let mut findings = Vec::new();
    for dependencies in tables.flat_map(|table| [table.get("dependencies"), table.get("build-dependencies")])
    {
        for (name, spec) in dependencies.and_then(|table| table.as_table()).into_iter().flatten() {
            // `name = { package = "…" }` is the way to give a crate another name.
            let package = spec.get("package").and_then(|package| package.as_str()).unwrap_or(name);
            if forbidden.contains(&package) {
                findings.push(format!("{path}: depends on {package}"));
            }
        }
    }
    findings
}

fn simulated(path: &str, manifest: &str) -> Vec<String> {
    let asks = |line: &str| line.contains("\"simulation\"") || line.contains("/simulation\"");
    let lines = manifest.lines().enumerate().filter(|(_, line)| asks(line) && !line.starts_with("members"));
    lines.map(|(number, _)| format!("{path}:{}: asks for the feature simulation", number + 1)).collect()
}

fn wrong_names(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (folder, forbidden, except) in FORBIDDEN_NAMES {
        if path.starts_with(folder) && !except.iter().any(|allowed| path.starts_with(allowed)) {
            let named =
                crates_named(lex(path, text)).into_iter().filter(|(name, _)| forbidden.contains(&&**name));
            findings.extend(named.map(|(name, line)| format!("{path}:{line}: names {name}")));
        }
    }
    findings
}

/// Identifiers that stand at the beginning of a path (`tonic::Status`) or of an import (`use tonic;`).
fn crates_named(tokens: TokenStream) -> Vec<(String, usize)> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let colon =
        |at: Option<&TokenTree>| matches!(at, Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    let mut names = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => names.extend(crates_named(group.stream())),
            TokenTree::Ident(ident) => {
                let before = |distance: usize| at.checked_sub(distance).and_then(|index| tokens.get(index));
                // `::tonic` names the crate, `other::tonic` does not.
                let inside = colon(before(1)) && matches!(before(3), Some(TokenTree::Ident(_)));
                let opens = colon(tokens.get(at + 1)) && colon(tokens.get(at + 2));
                let imported =
                    matches!(before(1), Some(TokenTree::Ident(word)) if word == "use" || word == "crate");
                if imported || (opens && !inside) {
                    names.push((ident.to_string(), ident.span().start().line));
                }
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
    names
}

fn prints(path: &str, text: &str) -> Vec<String> {
    let is_silent = SILENT.iter().any(|folder| path.starts_with(folder));
    if !is_silent || path.ends_with("/main.rs") || path == TELLING {
        return Vec::new();
    }
    let printing = macros_called(lex(path, text)).into_iter().filter(|(name, _)| PRINTING.contains(&&**name));
    printing.map(|(name, line)| format!("{path}:{line}: {name}!")).collect()
}

fn macros_called(tokens: TokenStream) -> Vec<(String, usize)> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut called = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match (token, tokens.get(at + 1)) {
            (TokenTree::Group(group), _) => called.extend(macros_called(group.stream())),
            (TokenTree::Ident(name), Some(TokenTree::Punct(bang))) if bang.as_char() == '!' => {
                called.push((name.to_string(), name.span().start().line));
            }
            _ => {}
        }
    }
    called
}

fn module_doc(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().take_while(|line| line.starts_with("//!")).count();
    match lines {
        0 => vec![format!("{path}:1: does not open with //!")],
        1..=MODULE_DOC_LINES_MAX => Vec::new(),
        _ => vec![format!("{path}:1: {lines} lines of //!, {MODULE_DOC_LINES_MAX} at most")],
    }
}

fn too_long(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    let file = (lines > FILE_LINES_MAX).then(|| format!("{path}: {lines} lines, {FILE_LINES_MAX} at most"));
    let long = functions(lex(path, text)).into_iter().filter(|(_, _, lines)| *lines > FUNCTION_LINES_MAX);
    let long = long.map(|(name, line, lines)| {
        format!("{path}:{line}: fn {name} has {lines} lines, {FUNCTION_LINES_MAX} at most")
    });
    file.into_iter().chain(long).collect()
}

/// Name, first line and length of every function with a body, also of those inside of macros.
fn functions(tokens: TokenStream) -> Vec<(String, usize, usize)> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match (token, tokens.get(at + 1)) {
            (TokenTree::Group(group), _) => found.extend(functions(group.stream())),
            (TokenTree::Ident(word), Some(TokenTree::Ident(name))) if word == "fn" => {
                let end = tokens[at..].iter().find_map(|token| match token {
                    TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => {
                        Some(Some(body.span_close()))
                    }
                    TokenTree::Punct(punct) if punct.as_char() == ';' => Some(None),
                    _ => None,
                });
                if let Some(Some(end)) = end {
                    let first = word.span().start().line;
                    found.push((name.to_string(), first, end.end().line - first + 1));
                }
            }
            _ => {}
        }
    }
    found
}

fn machine_paths(path: &str, text: &str) -> Vec<String> {
    // Put together here, so that this file is free of what it looks for.
    let roots = ["work", "root", "home", "Users", "tmp/bash"].map(|name| format!("/{name}"));
    let mut findings = Vec::new();
    for (line, content) in text.lines().enumerate() {
        for root in &roots {
            let named = content.match_indices(root.as_str()).any(|(at, _)| {
                let before = content[..at].chars().next_back();
                let after = content[at + root.len()..].chars().next();
                // Relative paths ("src/work/") and longer words ("/rooms", "/workspace") are something else.
                !before.is_some_and(|before| before.is_alphanumeric() || "._-~*})".contains(before))
                    && !after.is_some_and(|after| after.is_alphanumeric() || after == '-')
            });
            if named {
                findings.push(format!("{path}:{}: names {root}", line + 1));
            }
        }
    }
    findings
}

fn manifests_left_out(manifest: &str, dockerfile: &str) -> Vec<String> {
    let manifest: toml::Table = manifest.parse().unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap();
    let copied: Vec<&str> = dockerfile.lines().filter(|line| line.starts_with("COPY ")).collect();
    members
        .iter()
        .map(|member| format!("{}/Cargo.toml", member.as_str().unwrap()))
        .filter(|path| !copied.iter().any(|line| line.split_whitespace().any(|word| word == path)))
        .map(|path| format!("Dockerfile: does not copy {path}"))
        .collect()
}

fn lex(path: &str, text: &str) -> TokenStream {
    text.parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn none(findings: impl Iterator<Item = String>) {
    let findings: Vec<String> = findings.collect();
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files() -> impl Iterator<Item = (String, String)> {
    text_files().filter(|(path, _)| path.ends_with(".rs"))
}

/// Every file of the tree that is text, with its path from the root.
fn text_files() -> impl Iterator<Item = (String, String)> {
    let mut files = Vec::new();
    collect_files(root(), &mut files);
    assert!(files.len() > 30, "the tree has more than {} files", files.len());
    files.sort();
    files.into_iter().filter_map(|path| {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
        Some((name, String::from_utf8(std::fs::read(&path).ok()?).ok()?))
    })
}

fn collect_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        match (path.is_dir(), name) {
            // Made by tools, or where their users keep what is only theirs.
            (true, "target" | ".git" | ".idea" | ".vscode" | "__pycache__") | (false, ".env" | ".git") => {}
            (true, _) => collect_files(&path, files),
            (false, _) => files.push(path),
        }
    }
}

#[test]
fn a_forbidden_dependency_is_found_under_any_name_and_target() {
    let check = |manifest| wrong_dependencies("a/Cargo.toml", manifest, &["tonic"]);
    assert_eq!(check("[dependencies]\ntonic = \"0.14\""), ["a/Cargo.toml: depends on tonic"]);
    assert_eq!(check("[dependencies]\nrpc = { package = \"tonic\", version = \"0.14\" }").len(), 1);
    assert_eq!(check("[target.'cfg(unix)'.dependencies]\ntonic.workspace = true").len(), 1);
    assert_eq!(check("[build-dependencies]\ntonic = \"0.14\"").len(), 1);
    assert!(
        check("[dependencies]\ntonic-health = \"0.14\"\n[dev-dependencies]\ntonic = \"0.14\"").is_empty()
    );
}

#[test]
fn a_feature_that_foretells_numbers_is_found() {
    let check = |manifest| simulated("a/Cargo.toml", manifest).len();
    assert_eq!(check("[dependencies]\nb = { path = \"b\", features = [\"simulation\"] }"), 1);
    assert_eq!(check("[features]\ndefault = [\n\"b/simulation\"\n]"), 1);
    assert_eq!(check("[workspace]\nmembers = [\"simulation\"]\n[features]\nsimulation = []"), 0);
}

#[test]
fn a_forbidden_crate_is_found_wherever_it_is_named() {
    let path = "tui-client/src/app.rs";
    assert_eq!(wrong_names(path, "fn a() {}\nuse tonic::Status;"), [format!("{path}:2: names tonic")]);
    assert_eq!(wrong_names(path, "use tonic as rpc;").len(), 1);
    assert_eq!(wrong_names(path, "fn a(status: ::tonic::Status) {}").len(), 1);
    assert_eq!(wrong_names(path, "fn a() { log!(\"{}\", webrtc::VERSION); }").len(), 1);
    assert_eq!(wrong_names(path, "use patchcord_server::serve;").len(), 1);
    assert!(wrong_names("tui-client/src/host.rs", "use patchcord_server::serve;").is_empty());
    assert!(
        wrong_names(path, "//! Unlike tonic::Status.\nuse patchcord_peer::tonic::A; struct S { rtc: u8 }")
            .is_empty()
    );
    assert_eq!(wrong_names("peer/src/room.rs", "use {webrtc::Api};").len(), 1);
    assert!(wrong_names("peer/src/connection/ice.rs", "use rtc::ice;").is_empty());
}

#[test]
fn printing_is_found_below_the_terminal_client() {
    assert_eq!(prints("peer/src/room.rs", "fn a() {\n    println!();\n}"), ["peer/src/room.rs:2: println!"]);
    assert_eq!(prints("server/src/room.rs", "fn a() { if b { dbg!(1) } }").len(), 1);
    assert!(prints("server/src/main.rs", "fn main() { println!() }").is_empty());
    assert!(prints("peer/src/room.rs", "// println!\nfn a() { write!(f, \"println!\") }").is_empty());
}

#[test]
fn a_missing_or_long_module_doc_is_found() {
    assert_eq!(module_doc("a.rs", "use b;\n//! Late."), ["a.rs:1: does not open with //!"]);
    assert_eq!(module_doc("a.rs", &"//! Long.\n".repeat(6)).len(), 1);
    assert!(module_doc("a.rs", &"//! Enough.\n".repeat(5)).is_empty());
}

#[test]
fn a_long_file_and_a_long_function_are_found() {
    let function = |lines: usize| format!("impl A {{\nfn f()\n{{{}}} }}", "\n".repeat(lines - 2));
    assert_eq!(too_long("a.rs", &function(71)), ["a.rs:2: fn f has 71 lines, 70 at most"]);
    assert!(too_long("a.rs", &function(70)).is_empty());
    assert_eq!(too_long("a.rs", &format!("proptest! {{ {} }}", function(71))).len(), 1);
    assert!(too_long("a.rs", &format!("trait T {{ fn f(); {} }}", "\n".repeat(80))).is_empty());
    assert_eq!(too_long("a.rs", &"//\n".repeat(401)), ["a.rs: 401 lines, 400 at most"]);
}

#[test]
fn a_path_of_a_machine_is_found() {
    let path = |name: &str| format!("see \"/{name}/x\"");
    assert_eq!(machine_paths("a.md", &path("work")), [format!("a.md:1: names /{}", "work")]);
    for name in ["root", "home", "Users"] {
        assert_eq!(machine_paths("a.md", &path(name)).len(), 1, "{name}");
    }
    assert!(
        machine_paths("a.md", "/rooms .github/workflows/ci.yml /workspace src/work/a.rs $HOME/x").is_empty()
    );
}

#[test]
fn a_manifest_that_the_dockerfile_leaves_out_is_found() {
    let manifest = "[workspace]\nmembers = [\"a\", \"b\"]";
    assert_eq!(
        manifests_left_out(manifest, "COPY a/Cargo.toml a/"),
        ["Dockerfile: does not copy b/Cargo.toml"]
    );
    assert!(manifests_left_out(manifest, "COPY a/Cargo.toml a/\nCOPY b/Cargo.toml b/").is_empty());
}
