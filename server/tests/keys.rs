//! The keys that tokens are signed with: how an operator makes them, side by side in one file.

#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

mod kit;

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Output};

use kit::{DEADLINE, process::command};
use patchcord_server::tokens::{Algorithm, KeySet};
use tokio::time::timeout;

async fn key(arguments: &[&str]) -> Output {
    let mut command = command();
    command.arg("key").args(arguments);
    timeout(DEADLINE, command.output()).await.unwrap().unwrap()
}

fn path(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

fn mode(path: &str) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn ids(path: &str) -> Vec<String> {
    let set = KeySet::read(Path::new(path)).unwrap();
    set.keys().iter().map(|key| key.id().to_owned()).collect()
}

#[tokio::test]
async fn a_key_is_printed_or_added_to_a_file_that_only_its_owner_reads() {
    let folder = tempfile::tempdir().unwrap();
    let output = key(&["--kid", "north"]).await;
    assert!(output.status.success());
    let set = KeySet::parse(&String::from_utf8(output.stdout).unwrap()).unwrap();
    assert_eq!(set.get("north").unwrap().algorithm(), Algorithm::Hs256);

    let file = path(&folder, "keys");
    for kid in ["old", "new"] {
        let output = key(&["--kid", kid, "--file", &file]).await;
        assert!(output.status.success() && output.stdout.is_empty());
    }
    assert_eq!((ids(&file), mode(&file)), (vec!["old".to_owned(), "new".to_owned()], 0o600));
    // Whoever gave it to a group keeps that.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(key(&["--kid", "newer", "--file", &file]).await.status.success());
    assert_eq!((ids(&file).len(), mode(&file)), (3, 0o640));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left there");
}

#[tokio::test]
async fn a_file_that_everybody_can_read_is_closed_to_them_when_a_secret_comes_into_it() {
    let folder = tempfile::tempdir().unwrap();
    let (private, public) = (path(&folder, "private"), path(&folder, "public"));
    let made = async |name: &str| {
        let arguments = ["--kid", name, "--alg", "eddsa", "--file", &private, "--public-file", &public];
        assert!(key(&arguments).await.status.success());
    };
    made("old").await;
    for file in [&private, &public] {
        fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
    }
    made("new").await;
    assert_eq!((mode(&private), mode(&public)), (0o640, 0o644));
}

#[tokio::test]
async fn the_server_gets_the_half_that_cannot_sign() {
    let folder = tempfile::tempdir().unwrap();
    let (private, public) = (path(&folder, "private"), path(&folder, "public"));
    let arguments = ["--kid", "north", "--alg", "eddsa", "--file", &private, "--public-file", &public];
    assert!(key(&arguments).await.status.success());
    let read = |path: &str| KeySet::read(Path::new(path)).unwrap().get("north").unwrap().clone();
    let (private, public) = (read(&private), read(&public));
    assert!(private.is_private() && !public.is_private());
    assert!(public.verify(b"message", &private.sign(b"message").unwrap()));
}

#[tokio::test]
async fn what_is_wrong_is_one_line_and_leaves_files_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (file, other) = (path(&folder, "keys"), path(&folder, "other"));
    assert!(key(&["--kid", "north", "--file", &file]).await.status.success());
    fs::write(&other, "no keys").unwrap();
    let before = fs::read(&file).unwrap();
    for (arguments, named) in [
        (vec!["--kid", "north", "--file", &file], "\"north\""),
        (vec!["--kid", "a b"], "--kid"),
        (vec!["--kid", "south", "--file", &other], "no JWK Set"),
        (vec!["--kid", "south", "--file", "/nonexistent/keys"], "/nonexistent/keys"),
        (vec!["--kid", "south", "--alg", "rs256"], "rs256"),
        (vec!["--kid", "south", "--public-file", &file], "--public-file"),
        (vec![], "--kid"),
    ] {
        let output = key(&arguments).await;
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{arguments:?}: {stderr}");
        assert!(stderr.contains(named) && output.stdout.is_empty(), "{arguments:?}: {stderr}");
    }
    assert_eq!(fs::read(&file).unwrap(), before);
}
