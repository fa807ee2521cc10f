//! Users.

use sea_orm::entity::prelude::*;

use crate::domain::faction::FactionKey;
use crate::domain::voice::VoiceKey;

#[expect(clippy::struct_excessive_bools, reason = "a field a column")]
#[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub email: String,
    pub username: String,
    pub display_name: Option<String>,
    pub password_hash: String,
    pub bio: Option<String>,
    pub faction: FactionKey,
    pub karma_score: i16,
    pub preferred_voice: VoiceKey,
    pub is_active: bool,
    pub is_verified: bool,
    pub is_admin: bool,
    pub is_premium: bool,
    pub failed_logins: i32,
    pub locked_until: Option<DateTimeUtc>,
    pub last_login_at: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Debug, Copy, Clone, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
