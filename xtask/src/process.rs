//! Running other programs, visibly.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Write};
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

/// Runs `command`, which runs tests, showing it and what it prints.
///
/// # Errors
/// It cannot be started, it fails, or there is no test that it is to run: a name that has changed must not be a success.
pub(crate) fn run_tests(command: &mut Command) -> Result {
    let name = shown(command);
    println!("$ {name}");
    let started = command.stdout(Stdio::piped()).spawn();
    let mut child = started.map_err(|error| format!("cannot start `{name}`: {error}"))?;
    let mut tests = 0_u64;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line?;
            tests = tests.saturating_add(tests_of(&String::from_utf8_lossy(&line)));
            let mut out = io::stdout().lock();
            out.write_all(&line)?;
            out.write_all(b"\n")?;
        }
    }
    let status = child.wait()?;
    if !status.success() {
        return Err(format!("`{name}` failed: {status}").into());
    }
    if tests == 0 {
        return Err(format!("`{name}` has no test to run").into());
    }
    Ok(())
}

/// How many tests have run, if this line says so: `test result: ok. 12 passed; 0 failed; …`
fn tests_of(line: &str) -> u64 {
    let numbers = line.strip_prefix("test result: ").into_iter().flat_map(|rest| rest.split(' '));
    numbers.filter_map(|word| word.parse::<u64>().ok()).take(2).sum()
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
    fn tests_that_are_not_there_are_an_error() {
        let line =
            "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 7 filtered out";
        assert_eq!(tests_of(line), 15);
        assert_eq!(tests_of("test result: ok. 0 passed; 0 failed; 4 ignored"), 0);
        assert_eq!(tests_of("running 12 tests"), 0);
        let error = run_tests(&mut Command::new("true")).unwrap_err();
        assert!(error.to_string().contains("has no test"), "{error}");
        let error = run_tests(&mut Command::new("false")).unwrap_err();
        assert!(error.to_string().contains("`false` failed"), "{error}");
    }

    #[test]
    fn a_failing_program_is_an_error_that_names_it() {
        let error = run(&mut Command::new("false")).unwrap_err();
        assert!(error.to_string().contains("`false` failed"), "{error}");
        let error = output(&mut Command::new("no-such-program-here")).unwrap_err();
        assert!(error.to_string().contains("no-such-program-here"), "{error}");
    }
}
