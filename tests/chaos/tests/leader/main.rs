//! What one manager may do and say while the others cannot hear it, or while its disk takes
//! nothing more.

mod disk;
mod minority;
mod world;
