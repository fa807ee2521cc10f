//! Custom column types: enums of the domain as text, lists and localized texts as JSON.

use std::collections::BTreeMap;

use sea_orm::sea_query::{ArrayType, ColumnType, Nullable, StringLen, ValueType, ValueTypeErr};
use sea_orm::sqlx::{Row, ValueRef};
use sea_orm::{
    ColIdx, DbErr, FromJsonQueryResult, QueryResult, RuntimeErr, TryGetError, TryGetable, Value,
    sqlx,
};
use serde::{Deserialize, Serialize};

use uuid::Uuid;

use crate::domain::audit::{AuditAction, AuditTargetKind};
use crate::domain::card::{CardType, Orientation, Suit};
use crate::domain::faction::FactionKey;
use crate::domain::locale::{Locale, Localized};
use crate::domain::reading::{Karma, PrivacyLevel, ReadingStatus};
use crate::domain::spread::{Difficulty, SpreadType};
use crate::domain::voice::{VoiceKey, VoiceTemplates};

/// A list of short texts: tags, keywords.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
pub struct TextList(pub Vec<String>);

/// A text in several languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
pub struct LocalizedText(pub Localized<String>);

/// A voice's templates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
pub struct Templates(pub VoiceTemplates);

/// Changes of draw counters, by card.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
pub struct DrawDeltas(pub BTreeMap<Uuid, i64>);

/// Changes of usage counters, by spread.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
pub struct UsageDeltas(pub BTreeMap<Uuid, SpreadUsage>);

/// Changes of the counters of a spread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "a field a counter")]
pub struct SpreadUsage {
    pub uses: i64,
    pub rating_sum: i64,
    pub ratings: i64,
}

/// A text, borrowed from its row.
fn text_of<I: ColIdx>(row: &QueryResult, index: I) -> Result<&str, TryGetError> {
    let text = if let Some(row) = row.try_as_pg_row() {
        row.try_get::<Option<&str>, _>(index.as_sqlx_postgres_index())
    } else if let Some(row) = row.try_as_sqlite_row() {
        row.try_get::<Option<&str>, _>(index.as_sqlx_sqlite_index())
    } else {
        return Err(DbErr::Type("a row of neither engine".to_owned()).into());
    };
    text.map_err(unreadable)?.ok_or_else(|| TryGetError::Null(format!("{index:?}")))
}

/// JSON, borrowed from its row and not parsed; empty for NULL.
pub(in crate::db) fn raw_json(row: &QueryResult, index: usize) -> Result<&[u8], DbErr> {
    if let Some(row) = row.try_as_pg_row() {
        let value = row.try_get_raw(index).map_err(unreadable)?;
        if value.is_null() {
            return Ok(&[]);
        }
        let bytes = value.as_bytes().map_err(sqlx::Error::Decode).map_err(unreadable)?;
        // PostgreSQL sends the version of the format before the text of a jsonb.
        return Ok(bytes.strip_prefix(&[1]).unwrap_or(bytes));
    }
    match text_of(row, index) {
        Ok(text) => Ok(text.as_bytes()),
        Err(TryGetError::Null(_)) => Ok(&[]),
        Err(error) => Err(error.into()),
    }
}

fn unreadable(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}

macro_rules! text_columns {
    ($($word:ident),+ $(,)?) => { $(
        impl From<$word> for Value {
            fn from(word: $word) -> Self {
                word.as_str().into()
            }
        }

        impl TryGetable for $word {
            fn try_get_by<I: ColIdx>(row: &QueryResult, index: I) -> Result<Self, TryGetError> {
                text_of(row, index)?.parse().map_err(|error| TryGetError::DbErr(DbErr::Type(format!("{error}"))))
            }
        }

        impl ValueType for $word {
            fn try_from(value: Value) -> Result<Self, ValueTypeErr> {
                <String as ValueType>::try_from(value)?.parse().map_err(|_| ValueTypeErr)
            }

            fn type_name() -> String {
                stringify!($word).to_owned()
            }

            fn array_type() -> ArrayType {
                ArrayType::String
            }

            fn column_type() -> ColumnType {
                ColumnType::String(StringLen::None)
            }
        }

        impl Nullable for $word {
            fn null() -> Value {
                <String as Nullable>::null()
            }
        }
    )+ };
}

text_columns!(
    AuditAction,
    AuditTargetKind,
    CardType,
    Difficulty,
    FactionKey,
    Karma,
    Locale,
    Orientation,
    PrivacyLevel,
    ReadingStatus,
    SpreadType,
    Suit,
    VoiceKey,
);

// Enums that are primary keys.
macro_rules! key_columns {
    ($($word:ident),+ $(,)?) => { $(
        impl sea_orm::TryFromU64 for $word {
            fn try_from_u64(_: u64) -> Result<Self, DbErr> {
                Err(DbErr::ConvertFromU64(stringify!($word)))
            }
        }
    )+ };
}

key_columns!(FactionKey, Locale, VoiceKey);
