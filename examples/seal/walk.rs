//! A walk through all of it, on a Marathon app: every step is this program, called as a person would call it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::output::{print, print_line};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// An app as its developers keep it; the markers say what is to be sealed.
const APP: &str = include_str!("web.json");

pub(crate) async fn through() -> Result<()> {
    let walk = Walk {
        folder: tempfile::tempdir()?,
    };
    walk.write("prod/web.json", APP)?;
    walk.write("passphrase", "correct horse battery staple\n")?;

    walk.say("Ana and Ben make key pairs; so does Ops, who will sign.")?;
    for name in ["ana", "ben"] {
        walk.seal(&format!("generate {name}.pem --passphrase passphrase"))?;
    }
    walk.seal("generate ops.pem --signing --passphrase passphrase")?;
    walk.write(
        "recipients.yaml",
        "recipients:\n  ana: ana.pem.pub\n  ben: ben.pem.pub\nrules:\n  - {path: \"prod/**\", recipients: [ana, ben]}\n",
    )?;

    walk.say("A developer, who has public keys only, seals what is marked, and adds a value.")?;
    walk.show("prod/web.json")?;
    walk.fails("check prod")?;
    walk.seal("seal prod/web.json")?;
    walk.pipe(
        "s3cr3t with: colons, \"quotes\" and $dollars",
        "set prod/web.json /env/API_TOKEN",
    )?;
    walk.seal("check prod")?;
    walk.say("A reviewer reads it.")?;
    walk.seal("show prod/web.json --recipients recipients.yaml")?;

    walk.say("Operations, who have a private key, open it: one value, all of it, in a command's environment.")?;
    let ben = "--key ben.pem --passphrase passphrase";
    walk.seal(&format!("extract prod/web.json /env/API_TOKEN {ben}"))?;
    walk.seal(&format!("open prod/web.json {ben}"))?;
    walk.seal_words(&[
        "exec",
        "prod/web.json",
        "--key",
        "ben.pem",
        "--passphrase",
        "passphrase",
        "--",
        "sh",
        "-c",
        "echo \"the password has ${#DB_PASSWORD} characters\"",
    ])?;

    walk.say("They edit it: in an editor every value stands as ENC[name:value], and only changed ones are sealed anew.")?;
    walk.edit(&format!("edit prod/web.json {ben}"))?;

    walk.say("New keys; one epoch in place of several.")?;
    walk.seal(&format!("compact prod/web.json {ben}"))?;
    walk.seal(&format!("rotate prod/web.json {ben}"))?;

    walk.say("Two people edit at the same time, and git merges what they did.")?;
    walk.merge()?;

    walk.say("A dotenv file does not show which document it is: who opens it says which one they expect.")?;
    walk.write("prod/stage.env", "DB_PASSWORD='ENC[db:hunter2]'\n")?;
    walk.seal("seal prod/stage.env --id /shop/stage")?;
    std::fs::copy(walk.path("prod/stage.env"), walk.path("prod/prod.env"))?;
    walk.fails(&format!("open prod/prod.env {ben}"))?;
    walk.fails(&format!("open prod/prod.env --id /shop/prod {ben}"))?;
    walk.seal(&format!(
        "reseal prod/prod.env --id /shop/stage --new-id /shop/prod {ben}"
    ))?;
    walk.seal(&format!("open prod/prod.env --id /shop/prod {ben}"))?;

    walk.say("Ana leaves: new keys for those who stay, and what she could read.")?;
    walk.write(
        "recipients.yaml",
        "recipients:\n  ana: ana.pem.pub\n  ben: ben.pem.pub\nrules:\n  - {path: \"prod/**\", recipients: [ben]}\n",
    )?;
    walk.seal(&format!("reseal prod/web.json {ben}"))?;
    walk.fails("extract prod/web.json /env/API_TOKEN --key ana.pem --passphrase passphrase")?;

    walk.say("Ops signs the file as it is; nobody needs a private key to check that. A changed image is noticed.")?;
    walk.seal("sign prod/web.json --key ops.pem --passphrase passphrase")?;
    walk.seal("verify prod/web.json --signer ops.pem.pub")?;
    let text = std::fs::read_to_string(walk.path("prod/web.json"))?;
    walk.write("prod/web.json", &text.replace("web:1.4.2", "web:evil"))?;
    walk.fails("verify prod/web.json --signer ops.pem.pub")?;
    print("\nThat was all; the folder is gone.\n")?;
    Ok(())
}

struct Walk {
    folder: tempfile::TempDir,
}

impl Walk {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        Ok(std::fs::write(path, text)?)
    }

    fn say(&self, text: &str) -> Result<()> {
        Ok(print(format_args!("\n## {text}\n"))?)
    }

    fn show(&self, name: &str) -> Result<()> {
        print(format_args!("\n$ cat {name}\n"))?;
        Ok(print(std::fs::read_to_string(self.path(name))?)?)
    }

    /// This program with these words, in the folder.
    fn command(&self, words: &[&str]) -> Result<Command> {
        print(format_args!("\n$ seal {}\n", words.join(" ")))?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(words)
            .current_dir(&self.folder)
            .stderr(Stdio::inherit());
        Ok(command)
    }

    fn seal(&self, line: &str) -> Result<()> {
        self.seal_words(&line.split(' ').collect::<Vec<_>>())
    }

    fn seal_words(&self, words: &[&str]) -> Result<()> {
        match self.command(words)?.status()? {
            status if status.success() => Ok(()),
            status => Err(format!("`seal {}` ended with {status}", words.join(" ")).into()),
        }
    }

    /// A step that is to fail.
    fn fails(&self, line: &str) -> Result<()> {
        match self
            .command(&line.split(' ').collect::<Vec<_>>())?
            .status()?
            .code()
        {
            Some(1) => Ok(()),
            other => Err(format!("`seal {line}` was to fail, and ended with {other:?}").into()),
        }
    }

    fn pipe(&self, text: &str, line: &str) -> Result<()> {
        let mut child = self
            .command(&line.split(' ').collect::<Vec<_>>())?
            .stdin(Stdio::piped())
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(text.as_bytes())?;
        }
        match child.wait()? {
            status if status.success() => Ok(()),
            status => Err(format!("`seal {line}` ended with {status}").into()),
        }
    }

    /// With an editor that changes one value.
    fn edit(&self, line: &str) -> Result<()> {
        let editor = "sed -i s/hunter2/hunter3/";
        print(format_args!("\n$ export EDITOR='{editor}'\n"))?;
        let status = self
            .command(&line.split(' ').collect::<Vec<_>>())?
            .env_remove("VISUAL")
            .env("EDITOR", editor)
            .status()?;
        match status.success() {
            true => Ok(()),
            false => Err(format!("`seal {line}` ended with {status}").into()),
        }
    }

    /// Two branches, merged by this program as git's merge driver.
    fn merge(&self) -> Result<()> {
        if Command::new("git").arg("--version").output().is_err() {
            return Ok(print_line("(there is no git here)")?);
        }
        let own = std::env::current_exe()?;
        self.write(".gitattributes", "*.json merge=sealed diff=sealed\n")?;
        self.write(".gitignore", "passphrase\n*.pem\n")?;
        let git = |line: &str| self.git(&line.split(' ').collect::<Vec<_>>());
        git("init --quiet --initial-branch main")?;
        git("config user.name Ana")?;
        git("config user.email ana@example.org")?;
        self.git(&[
            "config",
            "merge.sealed.driver",
            &format!("'{}' merge %O %A %B %P", own.display()),
        ])?;
        self.git(&[
            "config",
            "diff.sealed.textconv",
            &format!("'{}' show --format json", own.display()),
        ])?;
        git("add .")?;
        git("commit --quiet -m app")?;
        git("checkout --quiet -b ana")?;
        self.pipe("from ana", "set prod/web.json /env/FROM_ANA")?;
        git("commit --quiet -am ana")?;
        git("checkout --quiet main")?;
        self.pipe("from ben", "set prod/web.json /env/FROM_BEN")?;
        git("commit --quiet -am ben")?;
        git("diff --stat HEAD~1")?;
        git("diff HEAD~1 -- prod/web.json")?;
        git("merge --quiet --no-edit ana")?;
        for name in ["FROM_ANA", "FROM_BEN"] {
            self.seal(&format!(
                "extract prod/web.json /env/{name} --key ben.pem --passphrase passphrase"
            ))?;
        }
        Ok(())
    }

    fn git(&self, words: &[&str]) -> Result<()> {
        if !matches!(words[0], "config" | "init") {
            print(format_args!("\n$ git {}\n", words.join(" ")))?;
        }
        let status = Command::new("git")
            .args(["--no-pager", "-c", "commit.gpgsign=false"])
            .args(words)
            .current_dir(&self.folder)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .status()?;
        match status.success() {
            true => Ok(()),
            false => Err(format!("`git {}` ended with {status}", words.join(" ")).into()),
        }
    }
}
