//! Limits and timeouts of requests, documents and connections.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::Args;

use super::connections::connections;
use super::{count, milliseconds, seconds};

/// Bytes of the errors of a refusal, which stays small however many mistakes a document has. One error is
/// sent in any case.
pub const REFUSAL_BYTES: usize = 1_980;

/// Maximum length of a request id from a client or a proxy. A longer one is replaced.
pub const REQUEST_ID_BYTES_MAXIMUM: usize = 64;

/// Maximum characters of an error message, and of a header in the log; longer ones are truncated.
pub const MESSAGE_CHARACTERS: usize = 200;

/// Maximum characters of a client's value or name in an error message; longer ones are truncated.
pub const QUOTED_CHARACTERS: usize = 40;

/// Maximum characters of names that an error message lists: operations, values of an enum.
pub const LISTED_CHARACTERS: usize = 100;

/// Cost points of an SQL statement.
pub const STATEMENT_COST: u64 = 10;

/// Bytes of a response that are estimated for a value, beside its response key.
pub const VALUE_BYTES: u64 = 16;

/// Estimated bytes of a response without a price: more than most pages have.
pub const FREE_RESPONSE_BYTES: u64 = 256 << 10;

/// Multiple of the estimated bytes of a large response for which there has to be room: texts may be longer than estimated.
pub const RESPONSE_ROOM_FACTOR: u64 = 4;

/// Estimated bytes of a response for a cost point, above those without a price.
pub const RESPONSE_BYTES_PER_POINT: u64 = 4 << 10;

/// Cost points of `__schema`, which describes all types.
pub const SCHEMA_COST: u64 = 1_000;

/// Cost points of `__type`.
pub const TYPE_COST: u64 = 100;

/// Cost points of an operation that is validated and not executed.
pub const VALIDATION_COST: u64 = 1;

/// Limits of one document, checked before the GraphQL library parses it.
#[derive(Debug, Clone, Args)]
pub struct DocumentLimits {
    /// Maximum bytes of a GraphQL document
    #[arg(id = "max_document_bytes", long = "max-document-bytes", env = "MAX_DOCUMENT_BYTES", value_parser = count::<usize>, default_value = "16384", global = true, hide_env_values = true)]
    pub document_bytes: usize,

    /// Maximum tokens of a document
    #[arg(id = "max_document_tokens", long = "max-document-tokens", env = "MAX_DOCUMENT_TOKENS", value_parser = count::<usize>, default_value = "4000", global = true, hide_env_values = true)]
    pub tokens: usize,

    /// Maximum characters of a name in a document: of a field, an alias, a variable, an enum value
    #[arg(id = "max_name_characters", long = "max-name-characters", env = "MAX_NAME_CHARACTERS", value_parser = count::<usize>, default_value = "256", global = true, hide_env_values = true)]
    pub name_characters: usize,

    /// Maximum nesting of brackets, in a document and in its variables
    #[arg(id = "max_document_nesting", long = "max-document-nesting", env = "MAX_DOCUMENT_NESTING", value_parser = count::<usize>, default_value = "32", global = true, hide_env_values = true)]
    pub nesting: usize,

    /// Maximum nesting of selection sets, fragments expanded
    #[arg(id = "max_expanded_nesting", long = "max-expanded-nesting", env = "MAX_EXPANDED_NESTING", value_parser = count::<usize>, default_value = "48", global = true, hide_env_values = true)]
    pub expanded_nesting: usize,

    /// Maximum depth of fields; `edges`, `node`, `nodes` and leaves are not counted
    #[arg(id = "max_query_depth", long = "max-query-depth", env = "MAX_QUERY_DEPTH", value_parser = count::<usize>, default_value = "15", global = true, hide_env_values = true)]
    pub depth: usize,

    /// Maximum depth of fields of an introspection query
    #[arg(id = "max_introspection_depth", long = "max-introspection-depth", env = "MAX_INTROSPECTION_DEPTH", value_parser = count::<usize>, default_value = "20", global = true, hide_env_values = true)]
    pub introspection_depth: usize,

    /// Maximum nesting of lists of fields, types or values in an introspection query
    #[arg(id = "max_introspection_lists", long = "max-introspection-lists", env = "MAX_INTROSPECTION_LISTS", value_parser = count::<usize>, default_value = "2", global = true, hide_env_values = true)]
    pub introspection_lists: usize,

    /// Maximum selections, fragments expanded
    #[arg(id = "max_query_selections", long = "max-query-selections", env = "MAX_QUERY_SELECTIONS", value_parser = count::<usize>, default_value = "2000", global = true, hide_env_values = true)]
    pub selections: usize,

    /// Maximum comparisons of fields that share a response name
    #[arg(id = "max_field_merges", long = "max-field-merges", env = "MAX_FIELD_MERGES", value_parser = count::<usize>, default_value = "20000", global = true, hide_env_values = true)]
    pub field_merges: usize,

    /// Maximum cost of an operation: one point for each object that it can return, and surcharges for searches, filters, counts and statistics
    #[arg(id = "max_query_cost", long = "max-query-cost", env = "MAX_QUERY_COST", value_parser = count::<u64>, default_value = "20000", global = true, hide_env_values = true)]
    pub cost: u64,

    /// Maximum cost of an operation of an admin
    #[arg(id = "max_admin_query_cost", long = "max-admin-query-cost", env = "MAX_ADMIN_QUERY_COST", value_parser = count::<u64>, default_value = "100000", global = true, hide_env_values = true)]
    pub admin_cost: u64,

    /// Maximum resolved fields of an operation, for each point of the maximum cost
    #[arg(id = "max_values_per_cost", long = "max-values-per-cost", env = "MAX_VALUES_PER_COST", value_parser = count::<u64>, default_value = "20", global = true, hide_env_values = true)]
    pub values_per_cost: u64,

    /// Maximum aliases of a document
    #[arg(id = "max_aliases", long = "max-aliases", env = "MAX_ALIASES", value_parser = count::<usize>, default_value = "30", global = true, hide_env_values = true)]
    pub aliases: usize,

    /// Maximum root fields of an operation, fragments expanded
    #[arg(id = "max_root_fields", long = "max-root-fields", env = "MAX_ROOT_FIELDS", value_parser = count::<usize>, default_value = "30", global = true, hide_env_values = true)]
    pub root_fields: usize,

    /// Maximum directives of a document
    #[arg(id = "max_directives", long = "max-directives", env = "MAX_DIRECTIVES", value_parser = count::<usize>, default_value = "30", global = true, hide_env_values = true)]
    pub directives: usize,

    /// Maximum operations of a document
    #[arg(id = "max_operations", long = "max-operations", env = "MAX_OPERATIONS", value_parser = count::<usize>, default_value = "5", global = true, hide_env_values = true)]
    pub operations: usize,

    /// Maximum fragments of a document
    #[arg(id = "max_fragments", long = "max-fragments", env = "MAX_FRAGMENTS", value_parser = count::<usize>, default_value = "100", global = true, hide_env_values = true)]
    pub fragments: usize,

    /// Maximum items of one list in an argument or a variable
    #[arg(id = "max_list_items", long = "max-list-items", env = "MAX_LIST_ITEMS", value_parser = count::<usize>, default_value = "250", global = true, hide_env_values = true)]
    pub list_items: usize,

    /// Maximum ids in an argument of one field
    #[arg(id = "max_ids", long = "max-ids", env = "MAX_IDS", value_parser = count::<usize>, default_value = "100", global = true, hide_env_values = true)]
    pub ids: usize,

    /// Maximum values that variables substitute into the arguments of a document
    #[arg(id = "max_argument_values", long = "max-argument-values", env = "MAX_ARGUMENT_VALUES", value_parser = count::<u64>, default_value = "20000", global = true, hide_env_values = true)]
    pub argument_values: u64,

    /// Page size if a query has none
    #[arg(id = "default_page_size", long = "default-page-size", env = "DEFAULT_PAGE_SIZE", value_parser = count::<u64>, default_value = "20", global = true, hide_env_values = true)]
    pub default_page_size: u64,

    /// Bound of counts of public readings; a longer list has this count, which is not exact
    #[arg(id = "max_public_count", long = "max-public-count", env = "MAX_PUBLIC_COUNT", value_parser = count::<u64>, default_value = "10000", global = true, hide_env_values = true)]
    pub public_count: u64,

    /// Maximum page size
    #[arg(id = "max_page_size", long = "max-page-size", env = "MAX_PAGE_SIZE", value_parser = count::<u64>, default_value = "100", global = true, hide_env_values = true)]
    pub max_page_size: u64,
}

/// All limits and timeouts.
#[derive(Debug, Clone, Args)]
pub struct Limits {
    /// Limits of documents.
    #[command(flatten)]
    pub document: DocumentLimits,

    /// Maximum bytes of a request body
    #[arg(id = "max_body_bytes", long = "max-body-bytes", env = "MAX_BODY_BYTES", value_parser = count::<usize>, default_value = "262144", global = true, hide_env_values = true)]
    pub body_bytes: usize,

    /// Maximum bytes of a response, before compression
    #[arg(id = "max_response_bytes", long = "max-response-bytes", env = "MAX_RESPONSE_BYTES", value_parser = count::<usize>, default_value = "4194304", global = true, hide_env_values = true)]
    pub response_bytes: usize,

    /// Maximum errors in one response
    #[arg(id = "max_errors", long = "max-errors", env = "MAX_ERRORS", value_parser = count::<usize>, default_value = "10", global = true, hide_env_values = true)]
    pub errors: usize,

    /// Maximum bytes of the cache of parsed documents
    #[arg(id = "parsed_documents_bytes", long = "parsed-documents-bytes", env = "PARSED_DOCUMENTS_BYTES", value_parser = count::<u64>, default_value = "8388608", global = true, hide_env_values = true)]
    pub parsed_documents_bytes: u64,

    /// Maximum bytes of automatic persisted queries; the least recently used ones are evicted
    #[arg(id = "persisted_documents_bytes", long = "persisted-documents-bytes", env = "PERSISTED_DOCUMENTS_BYTES", value_parser = count::<u64>, default_value = "4194304", global = true, hide_env_values = true)]
    pub persisted_documents_bytes: u64,

    /// Maximum concurrent client connections; further ones wait to be accepted
    #[arg(id = "max_connections", long = "max-connections", env = "MAX_CONNECTIONS", value_parser = connections, default_value = "1024", global = true, hide_env_values = true)]
    pub connections: usize,

    /// Timeout of a request, in milliseconds
    #[arg(id = "request_timeout_ms", long = "request-timeout-ms", env = "REQUEST_TIMEOUT_MS", value_parser = milliseconds, default_value = "10000", global = true, hide_env_values = true)]
    pub request_timeout: Duration,

    /// Timeout of reading the request headers, in milliseconds
    #[arg(id = "header_timeout_ms", long = "header-timeout-ms", env = "HEADER_TIMEOUT_MS", value_parser = milliseconds, default_value = "5000", global = true, hide_env_values = true)]
    pub header_timeout: Duration,

    /// Timeout of reading the request body, in milliseconds
    #[arg(id = "body_timeout_ms", long = "body-timeout-ms", env = "BODY_TIMEOUT_MS", value_parser = milliseconds, default_value = "10000", global = true, hide_env_values = true)]
    pub body_timeout: Duration,

    /// Idle timeout of a client connection, in milliseconds
    #[arg(id = "idle_timeout_ms", long = "idle-timeout-ms", env = "IDLE_TIMEOUT_MS", value_parser = milliseconds, default_value = "60000", global = true, hide_env_values = true)]
    pub idle_timeout: Duration,

    /// Period after closing a connection in which bytes of the client are discarded, so that it can read its response, in milliseconds
    #[arg(id = "linger_timeout_ms", long = "linger-timeout-ms", env = "LINGER_TIMEOUT_MS", value_parser = milliseconds, default_value = "2000", global = true, hide_env_values = true)]
    pub linger_timeout: Duration,

    /// Timeout of a graceful shutdown, `SHUTDOWN_DELAY_MS` included, in seconds
    #[arg(id = "shutdown_timeout", long = "shutdown-timeout", env = "SHUTDOWN_TIMEOUT", value_parser = seconds, default_value = "25", global = true, hide_env_values = true)]
    pub shutdown_timeout: Duration,
}

#[cfg(test)]
impl Default for DocumentLimits {
    /// Defaults from the declarations of the settings.
    fn default() -> Self {
        use clap::FromArgMatches;
        let command = Self::augment_args(clap::Command::new("limits"));
        Self::from_arg_matches(&command.get_matches_from(["limits"])).expect("defaults are valid")
    }
}

/// Memory of an empty parsed document, in bytes; measured as resident memory.
pub const DOCUMENT_BYTES: u64 = 1024;
/// Memory of each node of a parsed document with its names, in bytes; measured as resident memory.
pub const DOCUMENT_NODE_BYTES: u64 = 400;
/// Memory of a selection in the plans of a document, in bytes; an estimate.
pub const PLAN_FIELD_BYTES: u64 = 200;
/// Memory of a persisted text beside the text itself, in bytes; an estimate.
pub const PERSISTED_TEXT_BYTES: u32 = 256;
/// Bytes of text that cost as much to copy as one argument value.
pub const TEXT_BYTES_PER_VALUE: usize = 1024;
/// Range of `retryAfterMs` of responses of a server that is overloaded or has no database. Random, so that clients that were
/// refused together do not come back together.
pub const UNAVAILABLE_RETRY_AFTER_MILLISECONDS: RangeInclusive<u64> = 1_000..=3_000;
