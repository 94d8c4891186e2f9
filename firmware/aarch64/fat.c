/* Finds a FAT12, FAT16 or FAT32 volume on the open disk (the whole disk, or the
   first FAT partition of a GPT) and reads files by their 8.3 names. */
#include "fw.h"

enum { SECTOR = 512, WINDOW = 64, ENTRY = 32, MOST_CLUSTERS = 0x0ffffff5 };

static u64 volume, volume_sectors; /* first sector, length */
static u64 fat_start, data_start;  /* sectors on the disk */
static u32 cluster_sectors, clusters, fat_bits, fat_sectors, root_entries, root_cluster;
static u64 root_start;
static u8 buffer[SECTOR];

/* A window of the allocation table, as long chains are followed link by link. */
static u8 window[(WINDOW + 1) * SECTOR];
static u64 window_at;

static u32 le16(const u8 *p) { return p[0] | p[1] << 8; }
static u32 le32(const u8 *p) { return le16(p) | le16(p + 2) << 16; }
static u64 le64(const u8 *p) { return le32(p) | (u64)le32(p + 4) << 32; }

/* Takes the BIOS parameter block at `start` if it makes sense. */
static bool open_volume(u64 start, u64 sectors)
{
    const u8 *b = buffer;
    if (!disk_read(start, buffer, 1) || le16(b + 510) != 0xaa55 || (b[0] != 0xeb && b[0] != 0xe9))
        return false;
    u32 reserved = le16(b + 14), fats = b[16], total = le16(b + 19) ? le16(b + 19) : le32(b + 32);
    cluster_sectors = b[13];
    root_entries = le16(b + 17);
    fat_sectors = le16(b + 22) ? le16(b + 22) : le32(b + 36);
    if (le16(b + 11) != SECTOR || !cluster_sectors || (cluster_sectors & (cluster_sectors - 1)) || !reserved || !fats ||
        fats > 2 || !fat_sectors || total > sectors)
        return false;
    u32 root_sectors = (root_entries * ENTRY + SECTOR - 1) / SECTOR;
    u64 before = reserved + (u64)fats * fat_sectors + root_sectors;
    if (before >= total)
        return false;
    volume = start;
    volume_sectors = total;
    fat_start = start + reserved;
    root_start = fat_start + (u64)fats * fat_sectors;
    data_start = root_start + root_sectors;
    clusters = (total - before) / cluster_sectors;
    /* The count alone tells the width (Microsoft's FAT specification). */
    fat_bits = clusters < 4085 ? 12 : clusters < 65525 ? 16 : 32;
    root_cluster = fat_bits == 32 ? le32(b + 44) : 0;
    window_at = ~0ul;
    return clusters <= MOST_CLUSTERS && (u64)fat_sectors * SECTOR * 8 / fat_bits >= clusters;
}

/* Entries are read 512 bytes at a time: their size divides that, or is a multiple. */
static bool open_gpt(void)
{
    if (!disk_read(1, buffer, 1) || memcmp(buffer, "EFI PART", 8) != 0)
        return false;
    u64 table = le64(buffer + 72);
    u32 count = le32(buffer + 80), size = le32(buffer + 84);
    if (size < 128 || size > 4096 || (size & (size - 1)) || count > 1024)
        return false;
    for (u32 i = 0; i < count; i++) {
        static const u8 unused[16];
        u64 at = (u64)i * size;
        if (!disk_read(table + at / SECTOR, buffer, 1))
            return false;
        const u8 *e = buffer + at % SECTOR;
        u64 first = le64(e + 32), last = le64(e + 40);
        if (memcmp(e, unused, 16) != 0 && first <= last && last < disk_sectors() && open_volume(first, last - first + 1))
            return true;
    }
    return false;
}

const char *fat_mount(void)
{
    return open_gpt() || open_volume(0, disk_sectors()) ? NULL : "neither a GPT with a FAT partition nor a FAT file system";
}

/* The cluster after `c`; 0 at the chain's end or where the table is damaged. */
static u32 next_cluster(u32 c)
{
    u64 at = (u64)c * fat_bits / 8, sector = at / SECTOR;
    if (window_at == ~0ul || sector < window_at || sector >= window_at + WINDOW) {
        u64 n = fat_sectors - sector < WINDOW + 1 ? fat_sectors - sector : WINDOW + 1;
        window_at = sector;
        if (!disk_read(fat_start + sector, window, n)) {
            window_at = ~0ul;
            return 0;
        }
    }
    const u8 *p = window + (at - window_at * SECTOR);
    u32 next = fat_bits == 32 ? le32(p) & 0x0fffffff : le16(p);
    if (fat_bits == 12)
        next = c & 1 ? next >> 4 : next & 0xfff;
    return next >= 2 && next < clusters + 2 ? next : 0;
}

static u64 cluster_sector(u32 c) { return data_start + (u64)(c - 2) * cluster_sectors; }

/* "initrd.img" as the eleven bytes of a directory entry. */
static bool short_name(const char *path, u64 len, u8 out[11])
{
    u32 at = 0, end = 8;
    memset(out, ' ', 11);
    for (u64 i = 0; i < len; i++) {
        char c = path[i];
        if (c == '.' && end == 8) {
            at = 8;
            end = 11;
        } else if (at < end) {
            out[at++] = c >= 'a' && c <= 'z' ? c - 32 : c;
        } else {
            return false;
        }
    }
    return true;
}

enum { ABSENT, FOUND, LAST };

static int search_sector(u64 sector, const u8 name[11], struct file *f, bool directory)
{
    if (!disk_read(sector, buffer, 1))
        return LAST;
    for (u8 *e = buffer; e < buffer + SECTOR; e += ENTRY) {
        if (e[0] == 0)
            return LAST;
        if (e[0] == 0xe5 || (e[11] & 8) || memcmp(e, name, 11) != 0 || !(e[11] & 16) != !directory)
            continue;
        f->cluster = le16(e + 26) | (fat_bits == 32 ? le16(e + 20) << 16 : 0);
        f->size = le32(e + 28);
        return FOUND;
    }
    return ABSENT;
}

/* Looks in the directory that starts at `cluster`, 0 for a FAT12/16 root. */
static bool search(u32 cluster, const u8 name[11], struct file *f, bool directory)
{
    int r = ABSENT;
    if (cluster == 0) {
        for (u64 s = root_start; s < data_start && r == ABSENT; s++)
            r = search_sector(s, name, f, directory);
        return r == FOUND;
    }
    for (u32 turns = 0; cluster && r == ABSENT && turns <= clusters; turns++, cluster = next_cluster(cluster))
        for (u32 s = 0; s < cluster_sectors && r == ABSENT; s++)
            r = search_sector(cluster_sector(cluster) + s, name, f, directory);
    return r == FOUND;
}

/* "/boot/Image"; case does not matter. */
bool fat_find(const char *path, struct file *f)
{
    u32 at = root_cluster;
    for (;;) {
        u8 name[11];
        u64 n = 0;
        while (*path == '/')
            path++;
        while (path[n] && path[n] != '/')
            n++;
        bool directory = path[n] == '/';
        if (!short_name(path, n, name) || !search(at, name, f, directory))
            return false;
        if (!directory)
            return true;
        at = f->cluster;
        path += n;
    }
}

/* The first `limit` bytes or the whole file; `to` must have room up to the end
   of the last sector. Runs of neighbouring clusters are one read. */
bool fat_read(const struct file *f, u8 *to, u64 limit)
{
    u64 left = f->size < limit ? f->size : limit;
    u64 cluster_bytes = (u64)cluster_sectors * SECTOR;
    for (u32 c = f->cluster; left;) {
        if (c < 2 || c >= clusters + 2)
            return false;
        u32 run = 1, next = c;
        while (run * cluster_bytes < left && (next = next_cluster(c + run - 1)) == c + run)
            run++;
        u64 bytes = run * cluster_bytes < left ? run * cluster_bytes : left;
        if (!disk_read(cluster_sector(c), to, (bytes + SECTOR - 1) / SECTOR))
            return false;
        to += bytes;
        left -= bytes;
        c = next;
    }
    return true;
}
