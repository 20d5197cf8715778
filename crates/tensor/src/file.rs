//! Files that are written whole or not at all.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Gives `path` the content that `write` writes.
///
/// Everything goes to a new file in the same folder, which takes the name `path` when it is complete and on
/// the disk. Whoever reads `path` meanwhile sees the old file or the new one; a stop at any moment, a full
/// disk or a loss of power leaves one of the two. A kill may leave a file `.trm-….tmp` beside it.
///
/// Of an old file the permissions stay, of a link the link: the file that it names is replaced. What is no file but a
/// pipe or a device is written to as it stands.
///
/// # Errors
/// When the file cannot be written; the unfinished file is then removed. An old file that nobody may write to is left as
/// it is, `PermissionDenied`, though its folder would allow a new one in its place. Only where the last step fails,
/// which makes the new name last, `path` may be the new file all the same.
pub fn replace(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    prepare(path, write)?.take_place()
}

/// A new file that is complete and on the disk, and has its name only once it takes its place; dropped, it is gone.
#[derive(Debug)]
pub struct Prepared {
    /// None where a pipe or a device was written to: that is done.
    new: Option<tempfile::NamedTempFile<File>>,
    /// Where links lead.
    path: PathBuf,
}

/// The first half of [`replace`]: of several files that belong together each can be complete before any takes its place.
///
/// # Errors
/// As [`replace`], and `path` is then as it was.
pub fn prepare(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<Prepared> {
    let old = std::fs::metadata(path).ok();
    ask(Step::Create)?;
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        let mut out = BufWriter::new(OpenOptions::new().write(true).open(path)?);
        write(&mut out)?;
        out.flush()?;
        let path = path.to_owned();
        return Ok(Prepared { new: None, path });
    }
    if old.as_ref().is_some_and(|old| old.permissions().readonly()) {
        let why = "the file that is there is write-protected";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    let path = end_of_links(path)?;
    let folder = folder_of(&path);
    // A rename is one step only within a file system: the new file must lie in the same folder.
    let mut new = tempfile::Builder::new()
        .prefix(".trm-")
        .suffix(".tmp")
        .make_in(folder, |path| File::create_new(path))?;
    let permissions = new.as_file().metadata()?.permissions();
    if let Some(old) = old
        && old.permissions() != permissions
    {
        // Before there is anything in it that others could read.
        new.as_file().set_permissions(old.permissions())?;
    }
    let mut out = BufWriter::with_capacity(1 << 16, Parts(new.as_file_mut()));
    write(&mut out)?;
    out.flush()?;
    drop(out);
    ask(Step::Sync)?;
    new.as_file().sync_all()?;
    let new = Some(new);
    Ok(Prepared { new, path })
}

impl Prepared {
    /// The second half of [`replace`].
    ///
    /// # Errors
    /// As [`replace`].
    pub fn take_place(self) -> io::Result<()> {
        let Some(new) = self.new else { return Ok(()) };
        ask(Step::Rename)?;
        new.persist(&self.path).map_err(|error| error.error)?;
        sync_folder(folder_of(&self.path))
    }
}

/// Gives the file or folder `from` the name `to` in the same folder, in one step that lasts; an older file `to` is
/// gone.
///
/// # Errors
/// When the system refuses; the last step may then have failed alone, as with [`replace`].
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    ask(Step::Rename)?;
    std::fs::rename(from, to)?;
    sync_folder(folder_of(to))
}

/// Where `path` leads, through any links; nothing need be there yet.
///
/// # Errors
/// When the links lead in a circle.
pub fn end_of_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    // As many as Linux follows.
    for _ in 0..40 {
        match std::fs::read_link(&path) {
            Ok(to) => path = folder_of(&path).join(to),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("its links lead in a circle"))
}

/// The folder that holds `path`, or would hold it; `.` for a name alone.
///
/// [`Path::parent`] gives an empty path for a name alone, which no system opens.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Waits until a new name is on the disk: it, too, is data.
///
/// The file is whole by then, so what the system cannot do here is no failure: where a folder may be written to but not
/// read it cannot be opened, and some network file systems have no way to wait. Windows cannot open a folder, and does
/// not need to.
fn sync_folder(folder: &Path) -> io::Result<()> {
    let opened = match cfg!(unix).then(|| File::open(folder)) {
        Some(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => None,
        opened => opened.transpose()?,
    };
    let synced = ask(Step::SyncFolder).and_then(|()| opened.map_or(Ok(()), |it| it.sync_all()));
    match synced {
        Err(error) if cannot_wait(&error) => Ok(()),
        synced => synced,
    }
}

/// Whether a file system says that it does not wait for folders, and not that the disk is full or failing.
fn cannot_wait(error: &io::Error) -> bool {
    const EBADF: i32 = 9; // for which the library has no kind; the same on every Unix
    let kinds = [io::ErrorKind::InvalidInput, io::ErrorKind::Unsupported];
    kinds.contains(&error.kind()) || error.raw_os_error() == Some(EBADF)
}

/// A file that is written part by part, each of which may fail half done.
struct Parts<'a>(&'a mut File);

impl Write for Parts<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(error) = ask(Step::Write) {
            self.0.write_all(&bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// What is done to the disk, one after another, by [`replace`] and [`rename`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Making the new file.
    Create,
    /// Writing a part of it.
    Write,
    /// Waiting until it is on the disk.
    Sync,
    /// Giving it its name.
    Rename,
    /// Waiting until the name is on the disk.
    SyncFolder,
}

type Fault = Box<dyn FnMut(Step) -> io::Result<()>>;

thread_local! {
    static FAULT: RefCell<Option<Fault>> = const { RefCell::new(None) };
}

/// Runs `run` on a disk that fails as `fault` says, which is asked before every [`Step`] of this thread: a way to
/// test what is left when the n-th step fails. Also when `run` panics, the disk works again afterwards.
pub fn with_faults<T>(
    fault: impl FnMut(Step) -> io::Result<()> + 'static,
    run: impl FnOnce() -> T,
) -> T {
    struct Mended;
    impl Drop for Mended {
        fn drop(&mut self) {
            FAULT.set(None);
        }
    }
    FAULT.set(Some(Box::new(fault)));
    let _mended = Mended;
    run()
}

fn ask(step: Step) -> io::Result<()> {
    FAULT.with_borrow_mut(|fault| fault.as_mut().map_or(Ok(()), |fault| fault(step)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At whichever step the disk fails, the file is the old one or the new one, and nothing else is left.
    #[test]
    fn every_step_may_fail() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let (old, new) = (vec![1; 100_000], vec![2; 300_000]);
        let write = |content: &[u8]| replace(&path, |out| out.write_all(content));
        let (mut failures, mut steps) = (0, Vec::new());
        for n in 0.. {
            write(&old).expect("a disk that works");
            let seen = std::rc::Rc::new(RefCell::new(Vec::new()));
            let log = std::rc::Rc::clone(&seen);
            let fault = move |step| {
                log.borrow_mut().push(step);
                match log.borrow().len() > n {
                    true => Err(io::ErrorKind::StorageFull.into()),
                    false => Ok(()),
                }
            };
            let result = with_faults(fault, || write(&new));
            let found = std::fs::read(&path).expect("a file");
            let names = std::fs::read_dir(folder.path()).expect("a folder").count();
            assert_eq!(names, 1, "after step {n}");
            if result.is_ok() {
                assert!(found == new);
                steps.extend(seen.take());
                break;
            }
            failures += 1;
            let last = seen.borrow().last().copied();
            match last {
                Some(Step::SyncFolder) => assert!(found == new),
                _ => assert!(found == old, "after {last:?}"),
            }
        }
        // As many, but where the system writes less at a time than it is given.
        assert!(failures >= steps.len() && steps.len() >= 5);
        let mut kinds = steps;
        kinds.dedup();
        let all = [
            Step::Create,
            Step::Write,
            Step::Sync,
            Step::Rename,
            Step::SyncFolder,
        ];
        assert_eq!(kinds, all);
    }

    #[cfg(unix)]
    #[test]
    #[cfg_attr(miri, ignore = "Miri starts no programs")]
    fn permissions_links_and_pipes_stay_what_they_are() {
        use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
        let folder = tempfile::tempdir().expect("a folder");
        let [file, link, pipe] = ["file", "link", "pipe"].map(|name| folder.path().join(name));
        std::fs::write(&file, "old").expect("a file");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).expect("its owner");
        symlink("file", &link).expect("a link");
        replace(&link, |out| out.write_all(b"new")).expect("a disk that works");
        let kind = std::fs::symlink_metadata(&link).expect("a link");
        assert!(kind.is_symlink(), "the link was replaced");
        assert_eq!(std::fs::read(&file).expect("a file"), b"new");
        let mode = std::fs::metadata(&file)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o640);

        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.expect("mkfifo").success());
        let listener = std::thread::spawn({
            let pipe = pipe.clone();
            move || std::fs::read(pipe).expect("a pipe")
        });
        replace(&pipe, |out| out.write_all(b"said")).expect("someone listens");
        let kind = std::fs::metadata(&pipe).expect("a pipe").file_type();
        assert!(kind.is_fifo(), "the pipe was replaced");
        assert_eq!(listener.join().expect("a listener"), b"said");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_nothing_stays_and_what_it_names_is_made() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().expect("a folder");
        let [link, second, circle] =
            ["link", "second", "circle"].map(|name| folder.path().join(name));
        std::fs::create_dir(folder.path().join("far")).expect("a folder");
        symlink("second", &link).expect("a link");
        symlink("far/file", &second).expect("a link");
        replace(&link, |out| out.write_all(b"new")).expect("a disk that works");
        assert!(link.is_symlink() && second.is_symlink());
        let found = std::fs::read(folder.path().join("far/file")).expect("the file");
        assert_eq!(found, b"new");
        symlink("circle", &circle).expect("a link");
        assert!(replace(&circle, |out| out.write_all(b"new")).is_err());
        assert!(circle.is_symlink());
    }

    /// Nobody may read the new file who could not read the old one, not even while it is written.
    #[cfg(unix)]
    #[test]
    #[cfg_attr(miri, ignore = "Miri changes no permissions")]
    fn a_file_has_its_permissions_from_the_start() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, "old").expect("a file");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("its owner");
        replace(&path, |out| {
            for entry in std::fs::read_dir(folder.path())? {
                assert_eq!(entry?.metadata()?.permissions().mode() & 0o777, 0o600);
            }
            out.write_all(b"new")
        })
        .expect("a disk that works");
    }

    #[test]
    fn a_write_protected_file_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, "old").expect("a file");
        let protect = |yes: bool| {
            let mut permissions = std::fs::metadata(&path).expect("a file").permissions();
            permissions.set_readonly(yes);
            std::fs::set_permissions(&path, permissions).expect("its owner");
        };
        protect(true);
        let error = replace(&path, |out| out.write_all(b"new")).expect_err("it is protected");
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("write-protected"), "{error}");
        assert_eq!(std::fs::read(&path).expect("a file"), b"old");
        let names = std::fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(names, 1);
        protect(false);
        replace(&path, |out| out.write_all(b"new")).expect("a disk that works");
    }

    /// What is written is not reported as failed because its folder cannot be waited for; a failing disk is.
    #[cfg(unix)]
    #[test]
    fn some_folders_cannot_be_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        // EBADF, EINVAL, and what has no number; EIO, EACCES.
        let errors: [(fn() -> io::Error, bool); 5] = [
            (|| io::Error::from_raw_os_error(9), true),
            (|| io::Error::from_raw_os_error(22), true),
            (|| io::ErrorKind::Unsupported.into(), true),
            (|| io::Error::from_raw_os_error(5), false),
            (|| io::Error::from_raw_os_error(13), false),
        ];
        for (error, is_fine) in errors {
            let fault = move |step| match step {
                Step::SyncFolder => Err(error()),
                _ => Ok(()),
            };
            let result = with_faults(fault, || replace(&path, |out| out.write_all(b"new")));
            assert_eq!(result.is_ok(), is_fine, "{}", error());
        }
    }

    /// A folder in which files may be made, but whose names nobody may list.
    #[cfg(unix)]
    #[test]
    #[cfg_attr(miri, ignore = "Miri changes no permissions")]
    fn a_folder_need_not_be_readable() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let closed = folder.path().join("closed");
        std::fs::create_dir(&closed).expect("a folder");
        let mode = |mode| std::fs::set_permissions(&closed, PermissionsExt::from_mode(mode));
        mode(0o300).expect("its owner");
        let path = closed.join("file");
        let result = replace(&path, |out| out.write_all(b"new"));
        mode(0o700).expect("its owner");
        result.expect("a disk that works");
        assert_eq!(std::fs::read(&path).expect("a file"), b"new");
    }

    #[test]
    fn faults_end_with_a_panic() {
        let full = |_| Err(io::ErrorKind::StorageFull.into());
        let panics = || with_faults(full, || panic!("as a test that fails"));
        assert!(std::panic::catch_unwind(panics).is_err());
        assert!(ask(Step::Write).is_ok());
    }

    #[test]
    fn a_name_is_exchanged_or_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
        std::fs::write(&a, "new").expect("a file");
        std::fs::write(&b, "old").expect("a file");
        let full = |_| Err(io::ErrorKind::StorageFull.into());
        assert!(with_faults(full, || rename(&a, &b)).is_err());
        assert_eq!(std::fs::read(&b).expect("a file"), b"old");
        rename(&a, &b).expect("a disk that works");
        assert_eq!(std::fs::read(&b).expect("a file"), b"new");
        assert!(!a.exists());
    }
}
