//! Who may use the admin door: whoever has a key, a certificate, or both, as configured. What tells only whether the server
//! is well is for everybody. Wrong keys are counted, throttled by address, and never logged.

mod browser;
mod keys;
mod pass;

use std::{
    fmt,
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::time::Instant;
use tonic::Status;

use crate::{
    addresses::AddressThrottle,
    listener::ConnectionInfo,
    metrics::Metrics,
    tokens::{self, Tokens},
};

pub use keys::{AdminKey, AdminKeys, InvalidName};
pub use pass::Pass;

/// What probes ask.
const OPEN_PAGES: [&str; 2] = ["/livez", "/readyz"];
const OPEN_SERVICE: &str = "/grpc.health.v1.Health/";

/// Whoever was let in, for the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operator {
    /// The name of the key.
    key: Option<Arc<str>>,
    /// Whom the certificate names.
    certificate: Option<String>,
}

impl fmt::Display for Operator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.key, &self.certificate) {
            (Some(key), Some(certificate)) => write!(formatter, "key {key}, certificate {certificate}"),
            (Some(key), None) => write!(formatter, "key {key}"),
            (None, Some(certificate)) => write!(formatter, "certificate {certificate}"),
            (None, None) => formatter.write_str("anybody"),
        }
    }
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Denied {
    /// A browser says whose page sent it.
    FromPage,
    /// It is for a service, and not in gRPC.
    NotGrpc,
    /// It was sent to a name where nothing but the address tells who may send.
    HostName,
    NoCertificate,
    NoKey,
    WrongKey,
    /// It is a token that does not let in.
    Token(tokens::Denied),
    /// Of the address, for so long.
    TooManyWrongKeys(Duration),
}

/// Lets operators in.
pub struct AdminAuth {
    /// `None` where no key is asked for.
    keys: Option<Arc<AdminKeys>>,
    asks_for_certificate: bool,
    /// By any name, where nothing is asked for.
    answers_to_names: bool,
    /// Whose tokens are keys, if they permit administration.
    tokens: Option<Arc<Tokens>>,
    wrong_keys: AddressThrottle,
    metrics: Arc<Metrics>,
}

impl AdminAuth {
    /// By these keys, and by certificates if they are asked for.
    pub fn new(keys: Option<Arc<AdminKeys>>, asks_for_certificate: bool, metrics: Arc<Metrics>) -> Self {
        let wrong_keys = AddressThrottle::wrong_keys();
        Self { keys, asks_for_certificate, answers_to_names: false, tokens: None, wrong_keys, metrics }
    }

    /// Who asks for nothing may be called by any name, as services are in the networks of containers.
    pub fn and_names(self, answers_to_names: bool) -> Self {
        Self { answers_to_names, ..self }
    }

    /// A token that permits administration is a key.
    pub fn and_tokens(self, tokens: Option<Arc<Tokens>>) -> Self {
        Self { tokens, ..self }
    }

    /// Whether anything is asked for.
    pub fn asks(&self) -> bool {
        self.asks_for_key() || self.asks_for_certificate
    }

    fn asks_for_key(&self) -> bool {
        self.keys.is_some() || self.tokens.is_some()
    }

    /// Whether a bearer would be let in, by somebody who was let in with it.
    fn knows(&self, bearer: &str) -> bool {
        let is_key =
            |keys: &AdminKeys| keys.find_made(bearer).or_else(|| keys.find_thought_up(bearer)).is_some();
        let is_token = |tokens: &Tokens| tokens.admit_operator(bearer, SystemTime::now()).is_ok();
        self.keys.as_deref().is_some_and(is_key) || self.tokens.as_deref().is_some_and(is_token)
    }

    /// Who has a token whose bearer may come in.
    fn bearer_of_token(&self, bearer: &str) -> Result<Arc<str>, Denied> {
        let Some(tokens) = &self.tokens else { return Err(Denied::WrongKey) };
        match tokens.admit_operator(bearer, SystemTime::now()) {
            Ok(grant) => Ok(format!("token {:?} of {:?}", grant.token_id, grant.subject).into()),
            // It was meant for one: its three parts are none that a key has.
            Err(reason) if bearer.matches('.').count() == 2 => {
                self.metrics.count_denied_token(&reason);
                Err(Denied::Token(reason))
            }
            Err(_) => Err(Denied::WrongKey),
        }
    }

    fn admit_request(
        &self,
        request: &Request,
        connection: &ConnectionInfo,
        now: Instant,
    ) -> Result<Operator, Denied> {
        let (path, headers) = (request.uri().path(), request.headers());
        browser::check_kind(path, headers)?;
        if OPEN_PAGES.contains(&path) || path.starts_with(OPEN_SERVICE) {
            return Ok(Operator::default());
        }
        if !self.asks() && !self.answers_to_names {
            browser::check_host(request)?;
        }
        self.admit(connection.peer_address.ip(), connection.client(), headers, now)
    }

    fn admit(
        &self,
        address: IpAddr,
        certificate: Option<&str>,
        headers: &HeaderMap,
        now: Instant,
    ) -> Result<Operator, Denied> {
        let certificate = match certificate {
            None if self.asks_for_certificate => return Err(Denied::NoCertificate),
            certificate => certificate.map(str::to_owned),
        };
        if !self.asks_for_key() {
            return Ok(Operator { key: None, certificate });
        }
        let bearer = bearer(headers).ok_or(Denied::NoKey)?;
        let keys = self.keys.as_deref();
        // Nobody finds one of these by guessing, so whoever guesses behind the same address keeps its holder out of nothing.
        if let Some(key) = keys.and_then(|keys| keys.find_made(bearer)) {
            return Ok(Operator { key: Some(key), certificate });
        }
        // Before it is compared: otherwise a guess that is refused for its frequency is a guess all the same.
        self.wrong_keys.allows(address, now).map_err(Denied::TooManyWrongKeys)?;
        let thought_up = keys.and_then(|keys| keys.find_thought_up(bearer));
        let key = thought_up.map_or_else(|| self.bearer_of_token(bearer), Ok).inspect_err(|_| {
            // That it was the last for now is told the next time.
            let _ = self.wrong_keys.take(address, now);
        })?;
        Ok(Operator { key: Some(key), certificate })
    }
}

/// RFC 6750 section 2.1; the scheme's case does not matter (RFC 9110 section 11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, secret) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// Lets a request pass that may, with the [`Operator`] that it is of and the [`Pass`] that it came with.
pub async fn authorize(State(auth): State<Arc<AdminAuth>>, mut request: Request, next: Next) -> Response {
    let Some(info) = request.extensions().get::<ConnectionInfo>() else {
        return Status::internal("the connection is not known").into_http();
    };
    let address = info.peer_address;
    match auth.admit_request(&request, info, Instant::now()) {
        Ok(operator) => {
            let pass = Pass::new(Arc::clone(&auth), bearer(request.headers()));
            request.extensions_mut().insert(pass);
            request.extensions_mut().insert(operator);
            next.run(request).await
        }
        Err(denied) => {
            auth.metrics.count_denied(denied.as_str());
            tracing::debug!(%address, reason = denied.as_str(), "operator not let in");
            denied.response(request.headers())
        }
    }
}

impl Denied {
    fn as_str(self) -> &'static str {
        match self {
            Self::FromPage => "from_page",
            Self::NotGrpc => "not_grpc",
            Self::HostName => "host_name",
            Self::NoCertificate => "no_certificate",
            Self::NoKey => "no_key",
            Self::WrongKey => "wrong_key",
            Self::Token(_) => "token",
            Self::TooManyWrongKeys(_) => "too_many_wrong_keys",
        }
    }

    /// What to do about it.
    fn message(self) -> String {
        match self {
            Self::FromPage => "the admin door is not for pages in a browser: what has an origin is refused".to_owned(),
            Self::NotGrpc => {
                "the admin door speaks gRPC (content-type: application/grpc), as grpcurl does; plain pages are /metrics, /livez \
                 and /readyz"
                    .to_owned()
            }
            Self::HostName => {
                "the admin door asks for no key and so answers only who calls it by its address or localhost: do so, or give it \
                 keys (--admin-keys-file)"
                    .to_owned()
            }
            Self::NoCertificate => {
                "the admin door asks for a client certificate: show one of the authority that it knows"
                    .to_owned()
            }
            Self::NoKey => {
                "the admin door asks for a key: send the header authorization: Bearer KEY".to_owned()
            }
            Self::WrongKey => "the admin door does not know this key: it may have been replaced".to_owned(),
            Self::Token(reason) => reason.to_string(),
            Self::TooManyWrongKeys(wait) => {
                format!("too many wrong keys came from this address: wait {} s", seconds(wait))
            }
        }
    }

    /// In gRPC or plain HTTP, as was asked.
    fn response(self, headers: &HeaderMap) -> Response {
        let message = self.message();
        if browser::is_grpc(headers) {
            return match self {
                Self::TooManyWrongKeys(_) => Status::resource_exhausted(message).into_http(),
                Self::FromPage | Self::HostName => Status::permission_denied(message).into_http(),
                _ => Status::unauthenticated(message).into_http(),
            };
        }
        let body = message + "\n";
        match self {
            Self::TooManyWrongKeys(wait) => {
                let after = [(RETRY_AFTER, seconds(wait).to_string())];
                (StatusCode::TOO_MANY_REQUESTS, after, body).into_response()
            }
            Self::NotGrpc => (StatusCode::UNSUPPORTED_MEDIA_TYPE, body).into_response(),
            Self::FromPage | Self::HostName | Self::NoCertificate => {
                (StatusCode::FORBIDDEN, body).into_response()
            }
            Self::NoKey | Self::WrongKey | Self::Token(_) => {
                let challenge = [(WWW_AUTHENTICATE, "Bearer")];
                (StatusCode::UNAUTHORIZED, challenge, body).into_response()
            }
        }
    }
}

fn seconds(wait: Duration) -> u64 {
    wait.as_secs_f64().ceil().max(1.0) as u64
}

#[cfg(test)]
mod tests;
