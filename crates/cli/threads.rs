//! How many threads work, and the pools that they work in.

/// Most threads for each core; more are a mistake.
const MANY: usize = 8;

/// `--threads`: no more than the cores can serve. A thousand on two were still waiting for each other after minutes.
pub fn thread_count(text: &str) -> Result<u16, String> {
    let most = MANY * threads(None);
    let count = text.parse().ok();
    let fits = count.filter(|&count| (1..=most).contains(&usize::from(count)));
    fits.ok_or_else(|| format!("expected 1 to {most}, {MANY} for each core of this machine"))
}

/// The number of workers: as asked, or all cores.
pub fn threads(asked: Option<u16>) -> usize {
    asked.map_or_else(
        || std::thread::available_parallelism().map_or(1, usize::from),
        usize::from,
    )
}

/// A pool of so many threads.
///
/// # Errors
/// When the system gives no more threads.
pub fn pool(threads: usize) -> anyhow::Result<rayon::ThreadPool> {
    Ok(rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()?)
}
