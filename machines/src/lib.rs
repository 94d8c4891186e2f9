//! Boards, one file each
