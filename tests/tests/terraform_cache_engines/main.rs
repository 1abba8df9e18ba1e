//! `openmodel_cache` whose files others move: a Cloud Run job, or Storage Transfer Service.

mod jobs;
mod storage_transfer;
mod world;
