//! One line of what the doctor says, for people and for programs.

use std::{net::SocketAddr, time::Duration};

use serde::{Serialize, Serializer};

use super::printable;
use crate::wrap;

/// Columns before a sentence.
const INDENT: usize = 15;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// As it should be.
    Ok,
    /// It works, but not always or not for everybody.
    Warn,
    /// It does not work.
    Fail,
}

/// What was found about one thing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Check {
    pub check: &'static str,
    pub status: Status,
    pub message: String,
    /// What will not work, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    #[serde(rename = "took_ms", skip_serializing_if = "Option::is_none", serialize_with = "milliseconds")]
    pub took: Option<Duration>,
}

/// Whether a chat will work.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Verdict {
    pub status: Status,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// A line.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Line {
    Check(Check),
    Verdict(Verdict),
}

impl Check {
    pub(super) fn ok(check: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { check, status: Status::Ok, message, advice: None, url: None, address: None, took: None }
    }

    pub(super) fn warn(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { status: Status::Warn, advice: Some(advice.into()), ..Self::ok(check, message) }
    }

    pub(super) fn fail(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { status: Status::Fail, advice: Some(advice.into()), ..Self::ok(check, message) }
    }
}

impl Line {
    /// For people: the finding, and under it what it means, wrapped for a terminal of `columns`.
    pub(super) fn text(&self, columns: Option<usize>) -> String {
        let (check, status, message, advice) = match self {
            Self::Check(check) => (check.check, check.status, &check.message, &check.advice),
            Self::Verdict(verdict) => ("chat", verdict.status, &verdict.message, &verdict.advice),
        };
        let status = match status {
            Status::Ok => "ok",
            Status::Warn => "warn",
            Status::Fail => "fail",
        };
        let mut text = String::new();
        let mut put = |first: &str, sentence: &str| {
            let sentence = printable(sentence);
            let width = columns.map_or(usize::MAX, |columns| columns.saturating_sub(INDENT).max(INDENT));
            for (index, part) in wrap::wrap(sentence.as_str(), width).into_iter().enumerate() {
                let before = if index == 0 { first } else { "" };
                text.push_str(&format!("{before:<INDENT$}{}\n", &sentence.as_str()[part]));
            }
        };
        put(&format!("{status:<5}{check}"), message);
        if let Some(advice) = advice {
            put("", advice);
        }
        text
    }
}

fn milliseconds<S: Serializer>(took: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    took.map(|took| (took.as_secs_f64() * 1e6).round() / 1e3).serialize(serializer)
}
