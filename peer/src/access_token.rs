//! What proves to a server that we may join. It is asked for at each join and kept nowhere else, so that one that was
//! renewed meanwhile is used; `Debug` does not show it.

use std::{fmt, sync::Arc};

type Source = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// Where the token for a join comes from.
#[derive(Clone)]
pub struct AccessToken(Kind);

#[derive(Clone)]
enum Kind {
    Fixed(Arc<str>),
    Source(Source),
}

impl AccessToken {
    /// The same for every join.
    pub fn fixed(token: impl Into<String>) -> Self {
        Self(Kind::Fixed(token.into().trim().into()))
    }

    /// Asked at every join, such as for what a file says by then. It may block for a moment; what it says of an error
    /// is for people.
    pub fn from_source(source: impl Fn() -> Result<String, String> + Send + Sync + 'static) -> Self {
        Self(Kind::Source(Arc::new(source)))
    }

    /// For a join that is about to be made, without white space at its ends.
    pub(crate) async fn get(&self) -> Result<String, String> {
        match &self.0 {
            Kind::Fixed(token) => Ok(token.to_string()),
            Kind::Source(source) => {
                let source = Arc::clone(source);
                let asked = tokio::task::spawn_blocking(move || source());
                let token = asked.await.map_err(|error| error.to_string())??;
                Ok(token.trim().to_owned())
            }
        }
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AccessToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    #[tokio::test]
    async fn a_source_is_asked_each_time_and_shown_never() {
        let asked = AtomicUsize::new(0);
        let token = AccessToken::from_source(move || match asked.fetch_add(1, SeqCst) {
            0 => Err("nobody there".to_owned()),
            count => Ok(format!(" marked{count}\n")),
        });
        assert_eq!(token.get().await, Err("nobody there".to_owned()));
        assert_eq!(token.get().await, Ok("marked1".to_owned()));
        assert_eq!(token.get().await, Ok("marked2".to_owned()));
        let fixed = AccessToken::fixed("marked\n");
        assert_eq!(fixed.get().await, Ok("marked".to_owned()));
        assert!(!format!("{token:?} {fixed:?}").contains("marked"));
    }
}
