//! The token that some switchboards ask for: from a file, which is read again at each join so that one that was
//! renewed is used, from stdin or from a variable. It is never an argument that others on the machine could read by need.

use std::{
    fs::File,
    io::{BufRead, Read, stdin},
    path::{Path, PathBuf},
};

use clap::{ArgMatches, Args, FromArgMatches, parser::ValueSource};
use patchcord_peer::AccessToken;

use crate::exit::Failure;

/// A server takes 8 KiB; what is longer is no token.
const TOKEN_BYTES_MAX: u64 = 8 * 1024 + 64;

const HELP_HEADING: &str = "Permission";

/// Where the token comes from.
#[derive(Debug, Default)]
pub struct AccessArgs(Given);

#[derive(Args, Debug, Default)]
struct Given {
    /// For a switchboard that asks who may join: read the token from this file, again at each join; with "-" the first line
    /// of stdin, where input goes on after it.
    #[arg(long, env = "PATCHCORD_TOKEN_FILE", value_name = "PATH", help_heading = HELP_HEADING)]
    token_file: Option<PathBuf>,
    /// The token, best as the variable: arguments are visible to other users of the machine, variables are not.
    #[arg(long, env = "PATCHCORD_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    #[arg(help_heading = HELP_HEADING)]
    token: Option<String>,
}

impl Args for AccessArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        Given::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Given::augment_args_for_update(command)
    }
}

impl FromArgMatches for AccessArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let typed = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
        // A variable is there for every run; what is typed is meant for this one.
        let by_flag = typed("token") && !typed("token_file");
        let given = Given::from_arg_matches(matches)?;
        Ok(Self(Given { token_file: given.token_file.filter(|_| !by_flag), ..given }))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl AccessArgs {
    /// What the library is told. What is typed wins over variables, and the file over the token.
    ///
    /// # Errors
    /// When there is no token where one should be.
    pub fn access_token(&self) -> Result<Option<AccessToken>, Failure> {
        let Some(path) = &self.0.token_file else {
            return Ok(self.0.token.as_deref().map(AccessToken::fixed));
        };
        if path == Path::new("-") {
            let mut line = String::new();
            // What comes after the line stays in stdin's own buffer, for the session.
            let read = stdin().lock().take(TOKEN_BYTES_MAX).read_line(&mut line);
            read.map_err(|error| Failure::Usage(format!("--token-file -: {error}")))?;
            return match line.trim() {
                "" => Err(Failure::Usage("--token-file -: the first line of stdin is empty".into())),
                token => Ok(Some(AccessToken::fixed(token))),
            };
        }
        // A mistake in the path is better said before anything else happens.
        read(path).map_err(Failure::Usage)?;
        let path = path.clone();
        Ok(Some(AccessToken::from_source(move || read(&path))))
    }

    /// Whether it is the first line of stdin.
    pub fn is_from_stdin(&self) -> bool {
        self.0.token_file.as_deref() == Some(Path::new("-"))
    }
}

fn read(path: &Path) -> Result<String, String> {
    let wrong = |reason: &dyn std::fmt::Display| format!("--token-file {}: {reason}", path.display());
    let mut token = String::new();
    let file = File::open(path).map_err(|error| wrong(&error))?;
    file.take(TOKEN_BYTES_MAX).read_to_string(&mut token).map_err(|error| wrong(&error))?;
    match token.trim() {
        "" => Err(wrong(&"it is empty")),
        _ if token.len() as u64 == TOKEN_BYTES_MAX => Err(wrong(&"it holds more than a token has")),
        token => Ok(token.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_token_is_said_before_anything_happens() {
        let of = |token_file: PathBuf| {
            AccessArgs(Given { token_file: Some(token_file), token: None }).access_token()
        };
        let folder = std::env::temp_dir().join(format!("patchcord-access-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("token");
        for (text, named) in [(" \n".to_owned(), "is empty"), ("x".repeat(9_000), "more than a token")] {
            std::fs::write(&file, text).unwrap();
            let error = of(file.clone()).unwrap_err().to_string();
            assert!(error.contains(named) && error.contains("--token-file"), "{error}");
        }
        assert!(matches!(of(folder.join("none")), Err(Failure::Usage(_))));
        std::fs::write(&file, "a.b.c\n").unwrap();
        assert!(of(file).unwrap().is_some());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_token_that_is_typed_wins_over_a_file_that_a_variable_names() {
        // A variable that every process has.
        let command = AccessArgs::augment_args(clap::Command::new("x"));
        let command = command.mut_arg("token_file", |arg| arg.env("PATH"));
        let of = |line: &[&str]| {
            let matches = command.clone().try_get_matches_from(line).unwrap();
            AccessArgs::from_arg_matches(&matches).unwrap().0
        };
        assert!(of(&["x"]).token_file.is_some());
        let typed = of(&["x", "--token", "a.b.c"]);
        assert_eq!((typed.token_file, typed.token.as_deref()), (None, Some("a.b.c")));
        let both = of(&["x", "--token", "a.b.c", "--token-file", "/here"]);
        assert_eq!(both.token_file.as_deref(), Some(Path::new("/here")));
    }
}
