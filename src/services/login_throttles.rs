//! Throttles of guesses at a password: wrong passwords are counted by account and client network together, and from
//! the fifth on each leads to a longer wait. Nobody locks a user out who is elsewhere.
//!
//! No answer may reveal that an e-mail address and a username belong to one account. Therefore there are two
//! counters: one by the name as it was typed, whose lock is answered with its time, and one by account, whose lock
//! makes every password wrong while the typed name is not locked itself. To a client that does not know the
//! password, the two names of an account look like two names of nobody; `docs/security.md` has the reasons.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Services;
use super::audit::{log_failed_login, log_lock_out};
use super::error::ServiceError;
use super::hash_queue::HashClient;
use super::rate_limits::{RateLimitKey, client_network};
use crate::db::login_sessions::login_network_is_known;
use crate::db::login_throttles::{
    LockSchedule, LoginFailure, LoginLock, login_failure_record, login_failures_clear,
    login_failures_exist, login_locks,
};
use crate::db::users::user_login_failed;
use crate::db::{Session, Transaction};

/// Reason of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lock {
    /// The name as it was typed: the client is told.
    Name { until: DateTime<Utc> },
    /// The account only: every password counts as wrong.
    Account,
}

/// Result of a password check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordCheck {
    /// The password is right.
    Right,
    /// The password is wrong, or may not be known to be right.
    Wrong,
}

/// An attempt to give the password of an account.
#[derive(Debug, Clone)]
pub struct LoginAttempt {
    /// The account; `None` where nobody has the name.
    user: Option<Uuid>,
    address: IpAddr,
    /// Hash of name and client network.
    name: String,
    /// Hash of account and client network.
    account: String,
    /// Hash of user and client network, as it is stored with a login.
    network: String,
    /// Key of the limit over all client networks.
    rate_limit_key: RateLimitKey,
}

impl LoginAttempt {
    /// An attempt to log in with a name, which belongs to that user.
    #[must_use]
    pub fn by_name(name: &str, user: Option<Uuid>, address: IpAddr) -> Self {
        let account = match user {
            Some(user) => subject("account", user.as_bytes(), address),
            // As many counters as an account has, so that the work is the same.
            None => subject("nobody", name.as_bytes(), address),
        };
        Self {
            user,
            address,
            name: subject("name", name.as_bytes(), address),
            account,
            network: network_hash(user.unwrap_or_default(), address),
            rate_limit_key: RateLimitKey::name(name),
        }
    }

    /// An attempt of a client that has proved which account it means: the lock of the account is no secret.
    #[must_use]
    pub fn by_account(user: Uuid, address: IpAddr) -> Self {
        let account = subject("account", user.as_bytes(), address);
        Self {
            user: Some(user),
            address,
            name: account.clone(),
            account,
            network: network_hash(user, address),
            rate_limit_key: RateLimitKey::Account(user),
        }
    }

    fn subjects(&self) -> Vec<String> {
        let mut subjects = vec![self.name.clone(), self.account.clone()];
        subjects.dedup();
        subjects
    }

    fn lock(&self, locks: &[LoginLock]) -> Option<Lock> {
        let find = |subject: &str| locks.iter().find(|lock| lock.subject == subject);
        let name = find(&self.name).map(|lock| Lock::Name { until: lock.locked_until });
        name.or_else(|| find(&self.account).map(|_| Lock::Account))
    }

    /// Checks a password: refuses the attempt while it is locked, compares the password by `verify`, and counts a
    /// wrong one. The work and the answer of a locked attempt do not depend on the password, and those of any
    /// attempt not on whether the name has an account.
    ///
    /// # Errors
    ///
    /// `RateLimited` while the attempt is locked, and the errors of `verify`.
    pub async fn check(
        &self,
        session: &Session,
        services: &Services,
        verify: impl AsyncFnOnce(HashClient) -> Result<bool, ServiceError>,
    ) -> Result<PasswordCheck, ServiceError> {
        let is_known =
            login_network_is_known(session, self.user.unwrap_or_default(), &self.network).await?;
        let now = services.clock.now();
        let locks = login_locks(session, &self.subjects(), now).await?;
        let lock = self.lock(&locks);
        if let Some(Lock::Name { until }) = lock {
            log_failed_login(self.user, self.address);
            return Err(refused(until, now));
        }
        if !is_known {
            let checked = services.rate_limits.check_login_failures(self.rate_limit_key);
            checked.inspect_err(|_| log_failed_login(self.user, self.address))?;
        }
        session.release().await;
        let client = if is_known {
            HashClient::known(self.address)
        } else {
            HashClient::unknown(self.address)
        };
        let is_right = verify(client).await? && self.user.is_some() && lock.is_none();
        let settled = self.settle(session, services, is_right).await;
        if matches!(settled, Ok(PasswordCheck::Wrong) | Err(ServiceError::RateLimited { .. })) {
            log_failed_login(self.user, self.address);
        }
        let check = settled?;
        if check == PasswordCheck::Wrong && !is_known {
            services.rate_limits.record_login_failure(self.rate_limit_key);
        }
        Ok(check)
    }

    /// Decides under the lock of the counters: other attempts at the same time may have led to a lock. What is not
    /// counted is not told.
    async fn settle(
        &self,
        session: &Session,
        services: &Services,
        is_right: bool,
    ) -> Result<PasswordCheck, ServiceError> {
        if is_right && !login_failures_exist(session, &self.subjects()).await? {
            return Ok(PasswordCheck::Right);
        }
        let settled = session.transaction(|transaction| async move {
            let now = services.clock.now();
            if is_right {
                let locks = login_failures_clear(&transaction, &self.subjects(), now).await?;
                match self.lock(&locks) {
                    None => return Ok(None),
                    Some(Lock::Name { until }) => return Err(refused(until, now)),
                    Some(Lock::Account) => {}
                }
            }
            self.record_failure(&transaction, services, now).await.map(Some)
        });
        let Some(failures) = settled.await? else { return Ok(PasswordCheck::Right) };
        if let Some(until) = failures.iter().filter_map(|failure| failure.locked_until).max() {
            log_lock_out(self.user, self.address, until);
        }
        Ok(PasswordCheck::Wrong)
    }

    async fn record_failure(
        &self,
        transaction: &Transaction,
        services: &Services,
        now: DateTime<Utc>,
    ) -> Result<Vec<LoginFailure>, ServiceError> {
        let auth = &services.settings.auth;
        let schedule = LockSchedule {
            failures: auth.login_failures.into(),
            ends: auth.login_waits().into_iter().map(|wait| now + wait).collect(),
            forgotten_before: now - auth.failures_remembered(),
        };
        let subjects = self.subjects();
        let counted = login_failure_record(transaction, &subjects, &schedule, now).await?;
        user_login_failed(transaction, self.user.unwrap_or_default(), now).await?;
        if counted.iter().any(|failure| failure.subject == self.name) {
            return Ok(counted);
        }
        let locks = login_locks(transaction, &subjects, now).await?;
        match self.lock(&locks) {
            Some(Lock::Name { until }) => Err(refused(until, now)),
            Some(Lock::Account) | None => Ok(counted),
        }
    }
}

fn refused(until: DateTime<Utc>, now: DateTime<Utc>) -> ServiceError {
    let retry_after = (until - now).to_std().unwrap_or_default();
    ServiceError::RateLimited { resource: "wrong passwords", retry_after }
}

/// SHA-256 in hexadecimal of the subject of a counter. Its parts are of fixed length but the name.
fn subject(kind: &str, name: &[u8], address: IpAddr) -> String {
    let network = client_network(address).to_string();
    let mut hash = Sha256::new();
    for part in [kind.as_bytes(), network.as_bytes(), name] {
        hash.update(part);
        hash.update([0]);
    }
    hex::encode(hash.finalize())
}

/// Hash of the client network of a login. It is one for each user, so that it does not tell which users share a
/// network.
#[must_use]
pub fn network_hash(user: Uuid, address: IpAddr) -> String {
    subject("network", user.as_bytes(), address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let hash = |text| network_hash(Uuid::nil(), address(text));
        assert_eq!(hash("2001:db8::1"), hash("2001:db8::ffff:1"));
        assert_ne!(hash("2001:db8::1"), hash("2001:db8:0:1::1"));
        assert_eq!(hash("::ffff:198.51.100.1"), hash("198.51.100.1"));
        assert_ne!(hash("198.51.100.1"), hash("198.51.100.2"));
    }

    #[test]
    fn the_lock_of_the_typed_name_is_told_and_that_of_the_account_alone_is_not() {
        let attempt = LoginAttempt::by_name("ada", Some(Uuid::nil()), address("198.51.100.1"));
        let until = DateTime::UNIX_EPOCH;
        let lock = |subject: &String| LoginLock { subject: subject.clone(), locked_until: until };
        let (name, account) = (lock(&attempt.name), lock(&attempt.account));
        assert_eq!(attempt.lock(&[]), None);
        assert_eq!(attempt.lock(std::slice::from_ref(&account)), Some(Lock::Account));
        assert_eq!(attempt.lock(&[account, name]), Some(Lock::Name { until }));
    }
}
