//! Sources of settings: the command line, the environment, a settings file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Parser};
use toml::Spanned;

/// Path of the optional settings file if `SETTINGS_FILE` is not set.
const DEFAULT_SETTINGS_FILE: &str = "wasteland-tarot.toml";

/// Settings whose values are redacted in messages, and may be in a file of their own: `JWT_SECRET_FILE` names that of
/// `JWT_SECRET`.
const SECRET_SETTINGS: [&str; 5] =
    ["DATABASE_REPLICA_URLS", "DATABASE_URL", "JWT_PREVIOUS_SECRETS", "JWT_SECRET", "REDIS_URL"];
/// End of the names of settings that name the file of a secret.
const FILE_SUFFIX: &str = "_FILE";

/// A value from a file, as a flag.
struct FileArgument {
    /// Name of the setting.
    name: String,
    flag: OsString,
    /// Source for messages.
    source: String,
}

/// Invalid settings, as one line for a person.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// An invalid value of a setting.
    #[error("{name}={value:?} ({source_name}): {expected}")]
    Invalid {
        /// Name of the setting in the environment.
        name: String,
        /// Invalid value.
        value: String,
        /// Source of the value.
        source_name: String,
        /// Description of valid values.
        expected: String,
    },
    /// An unreadable or invalid settings file.
    #[error("settings file {path}: {reason}")]
    File {
        /// Path of the file.
        path: String,
        /// Explanation.
        reason: String,
    },
    /// Any other result of clap, `--help` and `--version` included.
    #[error(transparent)]
    CommandLine(clap::Error),
}

/// Parses the command line, with the environment and the settings file as fallbacks.
///
/// # Errors
///
/// An invalid value, or an unreadable settings file.
pub fn parse_command_line<C: Parser>(arguments: Vec<OsString>) -> Result<C, SettingsError> {
    let command = C::command();
    let mut from_file = arguments_from_file(&command)?;
    from_file.extend(arguments_from_secret_files(&command)?);
    // The values of files come first, as flags, so that a later flag overrides them. Those that the
    // environment sets too are omitted, because a flag would override the environment.
    let mut all = arguments;
    let flags_at = 1.min(all.len());
    all.splice(flags_at..flags_at, from_file.iter().map(|argument| argument.flag.clone()));
    let mut command_line = C::command().args_override_self(true);
    // Copies the settings to the subcommands.
    command_line.build();
    command_line
        .get_subcommands_mut()
        .filter(|command| !lists_settings(command))
        .for_each(hide_settings);
    let matches = command_line
        .try_get_matches_from(all)
        .map_err(|error| explain(&command, &from_file, error))?;
    C::from_arg_matches(&matches).map_err(SettingsError::CommandLine)
}

/// True for the subcommand whose help lists the settings.
fn lists_settings(command: &Command) -> bool {
    command.get_name() == "serve"
}

/// Hides the settings in the help of a subcommand, which has few arguments of its own.
fn hide_settings(command: &mut Command) {
    command.get_subcommands_mut().for_each(hide_settings);
    let hide = |argument: Arg| {
        let is_setting = argument.get_env().is_some();
        argument.hide(is_setting)
    };
    *command = std::mem::take(command).mut_args(hide).after_help(
        "All settings are options as well: see `wasteland-tarot serve --help` and docs/settings.md.",
    );
}

/// Values of secrets whose files the environment names.
fn arguments_from_secret_files(command: &Command) -> Result<Vec<FileArgument>, SettingsError> {
    let mut arguments = Vec::new();
    for name in SECRET_SETTINGS {
        let file_name = format!("{name}{FILE_SUFFIX}");
        let Ok(path) = std::env::var(&file_name) else { continue };
        let invalid = |expected: String| SettingsError::Invalid {
            name: file_name.clone(),
            value: path.clone(),
            source_name: "environment".to_owned(),
            expected,
        };
        if std::env::var_os(name).is_some() {
            return Err(invalid(format!("not to be set beside {name}")));
        }
        let value = read_secret(&path).map_err(invalid)?;
        arguments.extend(argument_of(command, name, &value, &file_name));
    }
    Ok(arguments)
}

/// Content of the file of a secret, without the line break at its end.
fn read_secret(path: &str) -> Result<String, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("the path of a file that can be read: {error}"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn argument_of(command: &Command, name: &str, value: &str, source: &str) -> Option<FileArgument> {
    let argument = command
        .get_arguments()
        .find(|argument| argument.get_env().is_some_and(|env| env == name))?;
    let flag = format!("--{}={value}", argument.get_long().unwrap_or_default()).into();
    Some(FileArgument { name: name.to_owned(), flag, source: source.to_owned() })
}

/// Setting whose file is named by a setting of that name.
fn secret_of_file(name: &str) -> Option<&str> {
    name.strip_suffix(FILE_SUFFIX).filter(|secret| SECRET_SETTINGS.contains(secret))
}

fn arguments_from_file(command: &Command) -> Result<Vec<FileArgument>, SettingsError> {
    let named = std::env::var("SETTINGS_FILE").ok().filter(|path| !path.is_empty());
    let path = named.as_deref().unwrap_or(DEFAULT_SETTINGS_FILE);
    if named.is_none() && !Path::new(path).exists() {
        return Ok(Vec::new());
    }
    let refuse = |reason: String| SettingsError::File { path: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    let line_of = |offset: usize| {
        let before = text.get(..offset).unwrap_or(&text);
        before.matches('\n').count() + 1
    };
    let table: BTreeMap<Spanned<String>, toml::Value> = toml::from_str(&text).map_err(|error| {
        let line = line_of(error.span().map_or(0, |span| span.start));
        refuse(format!("line {line}: {}", error.message().replace('\n', " ")))
    })?;
    let mut arguments = Vec::new();
    for (name, value) in &table {
        let line = line_of(name.span().start);
        let name = name.as_ref().as_str();
        let refuse = |reason: String| refuse(format!("line {line}: {reason}"));
        let setting = secret_of_file(name).unwrap_or(name);
        let value = match value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Float(number) => number.to_string(),
            toml::Value::Boolean(answer) => answer.to_string(),
            _ => return Err(refuse(format!("{name} is neither text, number nor true or false"))),
        };
        if setting != name && table.contains_key(setting) {
            return Err(refuse(format!("{name} is not to be set beside {setting}")));
        }
        let is_in_environment = std::env::var_os(setting).is_some()
            || std::env::var_os(format!("{setting}{FILE_SUFFIX}")).is_some();
        let (value, source) = if is_in_environment || setting == name {
            (value, format!("settings file, line {line}"))
        } else {
            let secret = read_secret(&value);
            (secret.map_err(|reason| refuse(format!("{name}: {reason}")))?, name.to_owned())
        };
        let argument = argument_of(command, setting, &value, &source)
            .ok_or_else(|| refuse(unknown_setting(command, name)))?;
        if !is_in_environment {
            arguments.push(argument);
        }
    }
    Ok(arguments)
}

/// Message about an unknown setting, with the name that it resembles. Names are in upper case.
fn unknown_setting(command: &Command, name: &str) -> String {
    const RESEMBLANCE: f64 = 0.9;
    let wanted = name.to_ascii_uppercase().replace('-', "_");
    let nearest = command
        .get_arguments()
        .filter_map(|argument| argument.get_env()?.to_str())
        .map(|known| (strsim::jaro_winkler(known, &wanted), known))
        .filter(|(resemblance, _)| *resemblance >= RESEMBLANCE)
        .max_by(|one, other| one.0.total_cmp(&other.0));
    match nearest {
        Some((_, known)) => format!("{name} is no setting; did you mean {known}?"),
        None => format!("{name} is no setting"),
    }
}

/// Converts clap's several lines about an invalid value to one line with the documented name of the
/// setting.
fn explain(command: &Command, from_file: &[FileArgument], error: clap::Error) -> SettingsError {
    if !matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation) {
        return SettingsError::CommandLine(error);
    }
    let text_of = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) if !texts.is_empty() => {
            Some(format!("one of {}", texts.join(", ")))
        }
        _ => None,
    };
    let argument = text_of(ContextKind::InvalidArg).unwrap_or_default();
    let Some(name) = command
        .get_arguments()
        .filter(|known| known.get_long().is_some_and(|long| is_flag(&argument, long)))
        .find_map(|known| known.get_env())
        .map(|name| name.to_string_lossy().into_owned())
    else {
        return SettingsError::CommandLine(error);
    };
    let value = text_of(ContextKind::InvalidValue).unwrap_or_default();
    let shown =
        if SECRET_SETTINGS.contains(&name.as_str()) { "…".to_owned() } else { value.clone() };
    let expected = text_of(ContextKind::ValidValue)
        .or_else(|| std::error::Error::source(&error).map(ToString::to_string))
        // A flag at the end of the command line, or before another flag.
        .unwrap_or_else(|| "a value is missing".to_owned());
    // The value may be one item of a list.
    let in_environment = std::env::var(&name)
        .is_ok_and(|set| set == value || set.split(',').any(|item| item == value));
    let in_file = from_file.iter().find(|FileArgument { name: known, flag, .. }| {
        let values = flag.to_string_lossy();
        let values = values.split_once('=').map_or("", |(_, values)| values);
        *known == name && (values == value || values.split(',').any(|item| item == value))
    });
    let source_name = match (in_environment, in_file) {
        (true, _) => "environment".to_owned(),
        (false, Some(argument)) => argument.source.clone(),
        (false, None) => "command line".to_owned(),
    };
    SettingsError::Invalid { name, value: shown, source_name, expected }
}

/// `true` if clap's `--flag <VALUE>` names that flag.
fn is_flag(argument: &str, long: &str) -> bool {
    argument.strip_prefix("--").is_some_and(|rest| rest.split(' ').next() == Some(long))
}
