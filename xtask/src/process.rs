//! Running other programs, visibly.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use crate::{Result, workspace};

/// A step of a command: what is about to be checked, and why in few words.
pub(crate) fn step(title: &str) {
    println!("\n== {title}");
}

/// The cargo that runs this program, or another toolchain's if one is named (`nightly`).
pub(crate) fn cargo(toolchain: Option<&str>) -> Command {
    let mut command = match toolchain {
        // Only the rustup proxy understands `+toolchain`; `$CARGO` is the real program behind it.
        Some(toolchain) => {
            let mut command = Command::new("cargo");
            command.arg(format!("+{toolchain}"));
            // Else the toolchain that runs this program is taken for the nested one, too.
            command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
            command
        }
        None => Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())),
    };
    command.current_dir(workspace::root());
    // What `cargo run` tells this program about its own package is not for others: build scripts that look at it would
    // have much of what plain commands have built built once more, and the other way round.
    for (name, _) in std::env::vars_os() {
        let about_package =
            |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(about_package) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs `command`, showing it and what it prints.
///
/// # Errors
/// It cannot be started, or it fails.
pub(crate) fn run(command: &mut Command) -> Result {
    println!("$ {}", shown(command));
    let status =
        command.status().map_err(|error| format!("cannot start `{}`: {error}", shown(command)))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`{}` failed: {status}", shown(command)).into())
    }
}

/// Runs `command` silently and hands back its standard output. Its standard error is shown.
///
/// # Errors
/// It cannot be started, fails, or prints something that is not UTF-8.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot start `{}`: {error}", shown(command)))?;
    if !output.status.success() {
        return Err(format!("`{}` failed: {}", shown(command), output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Whether `command` can be started and succeeds. Nothing of it is shown.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    // `$CARGO` is a long absolute path.
    let name = program.file_name().unwrap_or(command.get_program());
    std::iter::once(name)
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let mut command = Command::new("/opt/rust/bin/cargo");
        command.args(["test", "--workspace"]);
        assert_eq!(shown(&command), "cargo test --workspace");
    }

    #[test]
    fn cargo_is_not_told_of_this_package() {
        // As it is with `cargo run`.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        let cargo = cargo(None);
        let removed = |wanted: &str| cargo.get_envs().any(|env| env == (OsStr::new(wanted), None));
        assert!(removed("CARGO_MANIFEST_DIR"));
        assert!(removed("CARGO_PKG_NAME"));
        assert!(!removed("PATH"));
    }

    #[test]
    fn a_failing_program_is_an_error_that_names_it() {
        let error = run(&mut Command::new("false")).unwrap_err();
        assert!(error.to_string().contains("`false` failed"), "{error}");
        let error = output(&mut Command::new("no-such-program-here")).unwrap_err();
        assert!(error.to_string().contains("no-such-program-here"), "{error}");
    }
}
