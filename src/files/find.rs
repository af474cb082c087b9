//! Finds files by paths, directories and globs: [`Roots::find`].

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};
use rustix::fs::{AtFlags, Dir, FileType, Mode, openat, statat};
use rustix::io::Errno;

use crate::error::{FileError, Problem};
use crate::guards::check_names;
use crate::ignored::{Ignored, is_ignored};
use crate::path::{FilePath, join, normalized};
use crate::root::{DIRECTORY, Links, Reached, Root, check_regular};
use crate::roots::Roots;

/// Deeper directories are not searched. Each level holds a file handle open.
const MAX_DEPTH: usize = 64;
/// Characters that make a pattern of a path.
const MAGIC: [char; 4] = ['*', '?', '[', '{'];

/// The files that were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// In the order of the patterns; those of one pattern sorted by path. None twice.
    pub files: Vec<FilePath>,
    /// What was asked for and is not among the files: patterns without a match, secrets, special files.
    pub left_out: Vec<FileError>,
}

impl Roots {
    /// Finds the files that `patterns` name.
    ///
    /// A pattern is the path of a file, or of a directory, which means all files below it, or a glob: `*` and `?` do not
    /// match `/`, `**` does, `{a,b}` is either. A pattern that begins with `!` takes files away from what the others
    /// find. Paths and globs are absolute or from a root; globs are looked up in all roots.
    ///
    /// A file that is named by its path is found whatever ignore files say. Below directories and for globs, `.gitignore`
    /// and `.ignore` files are respected, links are passed over, and so are hidden files, unless the pattern itself has a
    /// name that begins with a dot.
    pub fn find(&self, patterns: &[String]) -> Result<Found, FileError> {
        let (without, with): (Vec<_>, Vec<_>) = patterns.iter().partition(|it| it.starts_with('!'));
        let mut unwanted = Vec::new();
        for pattern in without {
            let at = |it: Problem| it.at(pattern);
            unwanted.extend(self.globs(&pattern[1..]).map_err(at)?);
        }
        let mut search =
            Search { roots: self, unwanted, found: Found::default(), known: BTreeSet::new(), n_entries: 0 };
        for pattern in with {
            let n_before = (search.found.files.len(), search.found.left_out.len(), search.known.len());
            match search.pattern(pattern) {
                Ok(true) => {}
                Ok(false) => {
                    let n_after = (search.found.files.len(), search.found.left_out.len(), search.known.len());
                    if n_before == n_after {
                        search.found.left_out.push(Problem::NoMatch.at(pattern));
                    }
                }
                Err(problem @ (Problem::TooManyFiles { .. } | Problem::TooManyEntries { .. })) => {
                    return Err(problem.at(pattern));
                }
                Err(problem) => search.found.left_out.push(problem.at(pattern)),
            }
        }
        Ok(search.found)
    }

    /// A glob, in each root that it can match in, by the root's index. A path without magic stands for itself and all
    /// below it.
    fn globs(&self, pattern: &str) -> Result<Vec<(usize, Glob)>, Problem> {
        if pattern.is_empty() || pattern.contains('\0') {
            return Err(Problem::InvalidPath);
        }
        let path = Path::new(pattern);
        if path.is_absolute() {
            let at = self.roots.iter().enumerate().filter_map(|(idx, root)| {
                let rest =
                    path.strip_prefix(&root.given).or_else(|_| path.strip_prefix(&root.resolved)).ok()?;
                Some((idx, rest))
            });
            let globs: Result<Vec<_>, _> =
                at.map(|(idx, rest)| Ok((idx, Glob::new(&normalized(rest)?)?))).collect();
            return globs.and_then(|it| if it.is_empty() { Err(Problem::Outside) } else { Ok(it) });
        }
        let glob = Glob::new(&normalized(path)?)?;
        Ok((0..self.roots.len()).map(|idx| (idx, glob.clone())).collect())
    }
}

/// A pattern below one root.
#[derive(Clone)]
struct Glob {
    matcher: GlobMatcher,
    /// Matches what is below a directory that the pattern names.
    below: GlobMatcher,
    /// The directory that all matches are below.
    base: String,
    is_hidden_wanted: bool,
}

impl Glob {
    fn new(pattern: &str) -> Result<Self, Problem> {
        let build = |pattern: &str| {
            let glob = GlobBuilder::new(pattern).literal_separator(true).build();
            glob.map(|it| it.compile_matcher())
                .map_err(|it| Problem::InvalidGlob { message: it.kind().to_string() })
        };
        let names: Vec<&str> = pattern.split('/').collect();
        let n_plain = names.iter().take_while(|it| !it.contains(MAGIC)).count();
        // The last name may be a file's.
        let base = names[..n_plain.min(names.len() - 1)].join("/");
        Ok(Self {
            matcher: build(pattern)?,
            below: build(&join(pattern, "**"))?,
            base,
            is_hidden_wanted: names.iter().any(|it| it.starts_with('.')),
        })
    }

    fn matches(&self, path: &str) -> bool {
        self.matcher.is_match(path)
    }
}

struct Search<'r> {
    roots: &'r Roots,
    unwanted: Vec<(usize, Glob)>,
    found: Found,
    /// Files that were found, by root and path.
    known: BTreeSet<(usize, String)>,
    n_entries: usize,
}

/// What a walk takes.
struct Walk<'g> {
    root_idx: usize,
    /// `None` takes everything.
    glob: Option<&'g Glob>,
    is_hidden_wanted: bool,
}

impl Search<'_> {
    /// Returns whether the pattern names something that exists.
    fn pattern(&mut self, pattern: &str) -> Result<bool, Problem> {
        let located = self.roots.locate_unchecked(pattern);
        match located.and_then(|path| Ok((self.roots.reach(&path, Links::Follow)?, path))) {
            Ok((reached, path)) => {
                if let Some(stat) =
                    reached.stat.filter(|it| FileType::from_raw_mode(it.st_mode) != FileType::Directory)
                {
                    check_regular(&stat)?;
                    self.take(path)?;
                    return Ok(true);
                }
                if reached.stat.is_some() || (reached.name.is_empty() && reached.missing.is_empty()) {
                    let is_hidden_wanted = path.relative.split('/').any(|it| it.starts_with('.'));
                    let walk = Walk { root_idx: path.root_idx, glob: None, is_hidden_wanted };
                    self.walk_from(&path.relative, &walk)?;
                    return Ok(false);
                }
                if !pattern.contains(MAGIC) {
                    return Err(Problem::NotFound);
                }
            }
            Err(problem) if !pattern.contains(MAGIC) => return Err(problem),
            Err(_) => {}
        }
        for (root_idx, glob) in self.roots.globs(pattern)? {
            let walk = Walk { root_idx, glob: Some(&glob), is_hidden_wanted: glob.is_hidden_wanted };
            match self.walk_from(&glob.base, &walk) {
                Ok(()) | Err(Problem::NotFound | Problem::NotADirectory) => {}
                Err(problem) => return Err(problem),
            }
        }
        Ok(false)
    }

    /// Adds a file.
    fn take(&mut self, path: FilePath) -> Result<(), Problem> {
        let is_unwanted = |(root_idx, glob): &(usize, Glob)| {
            *root_idx == path.root_idx
                && (glob.matches(&path.relative) || glob.below.is_match(&path.relative))
        };
        if self.unwanted.iter().any(is_unwanted) || !self.known.insert((path.root_idx, path.relative.clone()))
        {
            return Ok(());
        }
        let limit = self.roots.options.max_files;
        if self.found.files.len() >= limit {
            return Err(Problem::TooManyFiles { limit });
        }
        self.found.files.push(path);
        Ok(())
    }

    /// Walks through the directory `base`, which ignore files do not exclude since it was named.
    fn walk_from(&mut self, base: &str, walk: &Walk<'_>) -> Result<(), Problem> {
        let roots = self.roots;
        let root: &Root = &roots.roots[walk.root_idx];
        let mut levels = vec![Ignored::of(root.directory(), "")];
        let mut reached = root.reach("", Links::Follow)?;
        let mut at = String::new();
        for name in base.split('/').filter(|it| !it.is_empty()) {
            at = join(&at, name);
            reached = roots.reach(&roots.file_path(walk.root_idx, at.clone()), Links::Follow)?;
            if reached.name.is_empty() {
                continue;
            }
            if reached.stat.is_none() {
                return Err(Problem::NotFound);
            }
            let opened = openat(reached.directory(), &*reached.name, DIRECTORY, Mode::empty())?;
            let name = std::mem::take(&mut reached.name);
            reached.enter(name, opened);
            levels.push(Ignored::of(reached.directory(), &at));
        }
        let n_before = self.found.files.len();
        self.walk(&reached, &at, &mut levels, walk)?;
        self.found.files[n_before..].sort();
        Ok(())
    }

    fn walk(
        &mut self,
        directory: &Reached<'_>,
        path: &str,
        levels: &mut Vec<Ignored>,
        walk: &Walk<'_>,
    ) -> Result<(), Problem> {
        self.walk_directory(directory.directory(), path, levels, walk, 0)
    }

    fn walk_directory(
        &mut self,
        directory: BorrowedFd<'_>,
        path: &str,
        levels: &mut Vec<Ignored>,
        walk: &Walk<'_>,
        depth: usize,
    ) -> Result<(), Problem> {
        let limit = self.roots.options.max_entries;
        let mut names = Vec::new();
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            self.n_entries += 1;
            if self.n_entries > limit {
                return Err(Problem::TooManyEntries { limit });
            }
            // A name that is no text cannot be told to anyone.
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name == "." || name == ".." || (name.starts_with('.') && !walk.is_hidden_wanted) {
                continue;
            }
            names.push(name.to_owned());
        }
        names.sort();
        for name in names {
            let below = join(path, &name);
            match openat(directory, &*name, DIRECTORY, Mode::empty()) {
                Ok(opened) => {
                    if is_ignored(levels, &below, true) || check_names(&below, true).is_err() {
                        continue;
                    }
                    if depth >= MAX_DEPTH {
                        self.found.left_out.push(Problem::TooDeep { limit: MAX_DEPTH }.at(below));
                        continue;
                    }
                    levels.push(Ignored::of(opened.as_fd(), &below));
                    let done = self.walk_directory(opened.as_fd(), &below, levels, walk, depth + 1);
                    levels.pop();
                    done?;
                }
                Err(Errno::NOTDIR) => self.file(directory, &name, below, levels, walk)?,
                // A link, or gone meanwhile, or not ours to open.
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Adds a file that a directory contains, if it is one and matches.
    fn file(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &str,
        path: String,
        levels: &[Ignored],
        walk: &Walk<'_>,
    ) -> Result<(), Problem> {
        if walk.glob.is_some_and(|it| !it.matches(&path)) || is_ignored(levels, &path, false) {
            return Ok(());
        }
        let Ok(stat) = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
            return Ok(());
        };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            return Ok(());
        }
        let path = self.roots.file_path(walk.root_idx, path);
        let checked = check_regular(&stat)
            .and_then(|()| check_names(path.relative(), self.roots.options.allow_secrets));
        match checked {
            Ok(()) => self.take(path),
            Err(problem) => {
                self.found.left_out.push(problem.at(path.shown()));
                Ok(())
            }
        }
    }
}
