//! The locks of both doors, put together from the configuration: TLS, and who may use the admin door.

use std::sync::Arc;

use crate::{
    Listeners,
    auth::{AdminAuth, AdminKeys},
    config::Config,
    error::{ConfigError, ServeError},
    exposure::{self, Door, Doors},
    metrics::Metrics,
    reload::{Reload, Reloads},
    tls::{Tls, TlsDoor},
    tokens::Tokens,
};

/// The locks of a server.
pub struct Access {
    /// `None` where the public door is plain.
    pub public_tls: Option<Arc<Tls>>,
    /// `None` where the admin door is plain.
    pub admin_tls: Option<Arc<Tls>>,
    /// Who may use the admin door.
    pub admin_auth: Arc<AdminAuth>,
}

impl Access {
    /// As the configuration says; what comes from files can be read again.
    pub fn new(
        config: &Config,
        tokens: Option<Arc<Tokens>>,
        metrics: &Arc<Metrics>,
        reloads: &mut Reloads,
    ) -> Result<Self, ConfigError> {
        let tls = |door, files: Option<_>| {
            files.map(|files| Tls::new(door, files, Arc::clone(metrics)).map(Arc::new)).transpose()
        };
        let public_tls = tls(TlsDoor::Public, config.tls.public()?)?;
        let (admin_tls, keys) = match config.no_admin {
            true => (None, None),
            false => {
                let keys = config.admin.sources()?.map(AdminKeys::new).transpose()?;
                (tls(TlsDoor::Admin, config.tls.admin()?)?, keys.map(Arc::new))
            }
        };
        for tls in public_tls.iter().chain(&admin_tls) {
            reloads.add(Arc::clone(tls) as Arc<dyn Reload>);
        }
        if let Some(keys) = &keys {
            keys.warn();
            reloads.add(Arc::clone(keys) as Arc<dyn Reload>);
        }
        let tokens = tokens.filter(|_| config.admin.admin_by_token);
        let asks_for_certificate = admin_tls.as_ref().is_some_and(|tls| tls.asks_for_certificates());
        let admin_auth = AdminAuth::new(keys, asks_for_certificate, Arc::clone(metrics))
            .and_names(config.admin.admin_open)
            .and_tokens(tokens);
        let admin_auth = Arc::new(admin_auth);
        Ok(Self { public_tls, admin_tls, admin_auth })
    }

    /// Whether the doors may be where they are; what stands open there is logged.
    pub fn look_at(&self, listeners: &Listeners, config: &Config) -> Result<(), ServeError> {
        let unknown = |door, address| move |source| ServeError::Bind { door, address, source };
        let address = listeners.public.local_addr().map_err(unknown("public", config.listen))?;
        let public = Door { address, tls: self.public_tls.is_some() };
        let admin = match &listeners.admin {
            None => None,
            Some(listener) => {
                let address = listener.local_addr().map_err(unknown("admin", config.admin_listen))?;
                config.check_admin_at(address)?;
                Some(Door { address, tls: self.admin_tls.is_some() })
            }
        };
        let doors = Doors {
            public,
            tokens_required: config.tokens_required(),
            admin,
            admin_asks: self.admin_auth.asks(),
        };
        for warning in exposure::warnings(&doors) {
            tracing::warn!("{warning}");
        }
        Ok(())
    }
}
