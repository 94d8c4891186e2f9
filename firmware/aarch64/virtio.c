/* virtio-blk over virtio-mmio (Virtual I/O Device 1.2, 4.2 and 5.2): register
   layout version 2, and the legacy version 1. One queue, one request at a time,
   completion polled. */
#include "fw.h"

enum {
    MAGIC = 0x000, VERSION = 0x004, DEVICE_ID = 0x008, DEVICE_FEATURES = 0x010, DEVICE_FEATURES_SEL = 0x014,
    DRIVER_FEATURES = 0x020, DRIVER_FEATURES_SEL = 0x024, GUEST_PAGE_SIZE = 0x028, QUEUE_SEL = 0x030,
    QUEUE_NUM_MAX = 0x034, QUEUE_NUM = 0x038, QUEUE_ALIGN = 0x03c, QUEUE_PFN = 0x040, QUEUE_READY = 0x044,
    QUEUE_NOTIFY = 0x050, INTERRUPT_STATUS = 0x060, INTERRUPT_ACK = 0x064, STATUS = 0x070, QUEUE_DESC = 0x080,
    QUEUE_DRIVER = 0x090, QUEUE_DEVICE = 0x0a0, CONFIG = 0x100,
    ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8, FAILED = 128,
    F_SIZE_MAX = 1 << 1, F_VERSION_1_HIGH = 1 << 0,
    NEXT = 1, WRITE = 2, QUEUE = 8, PAGE = 4096, SECTOR = 512,
};

struct descriptor { u64 address; u32 length; u16 flags, next; };

/* One layout for both versions: legacy wants the used ring on the next page. */
static struct {
    struct descriptor descriptor[QUEUE];
    struct { u16 flags, index, ring[QUEUE]; } available;
    struct { u16 flags, index; struct { u32 id, length; } ring[QUEUE]; } used __attribute__((aligned(PAGE)));
} queue __attribute__((aligned(PAGE)));

static struct { u32 type, reserved; u64 sector; } header;
static u8 request_status;
static u64 base, capacity;
static u32 size_max;

static void set64(u32 reg, const void *p)
{
    mmio_write(base + reg, (u64)p);
    mmio_write(base + reg + 4, (u64)p >> 32);
}

static const char *negotiate(u32 version)
{
    mmio_write(base + DEVICE_FEATURES_SEL, 0);
    u32 low = mmio_read(base + DEVICE_FEATURES) & F_SIZE_MAX;
    size_max = low & F_SIZE_MAX ? mmio_read(base + CONFIG + 8) & ~(SECTOR - 1) : 0;
    mmio_write(base + DRIVER_FEATURES_SEL, 0);
    mmio_write(base + DRIVER_FEATURES, low);
    if (version == 1)
        return NULL;
    mmio_write(base + DEVICE_FEATURES_SEL, 1);
    if (!(mmio_read(base + DEVICE_FEATURES) & F_VERSION_1_HIGH))
        return "the device does not offer VIRTIO_F_VERSION_1";
    mmio_write(base + DRIVER_FEATURES_SEL, 1);
    mmio_write(base + DRIVER_FEATURES, F_VERSION_1_HIGH);
    mmio_write(base + STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
    return mmio_read(base + STATUS) & FEATURES_OK ? NULL : "the device refused the features";
}

const char *disk_open(u64 at)
{
    base = at;
    u32 version = mmio_read(base + VERSION);
    if (version != 1 && version != 2)
        return "neither version 1 nor 2 of virtio-mmio";
    mmio_write(base + STATUS, 0);
    mmio_write(base + STATUS, ACKNOWLEDGE);
    mmio_write(base + STATUS, ACKNOWLEDGE | DRIVER);
    const char *wrong = negotiate(version);
    if (wrong)
        goto failed;
    memset(&queue, 0, sizeof queue);
    if (version == 1)
        mmio_write(base + GUEST_PAGE_SIZE, PAGE);
    mmio_write(base + QUEUE_SEL, 0);
    wrong = "its queue is too short";
    if (mmio_read(base + QUEUE_NUM_MAX) < QUEUE)
        goto failed;
    mmio_write(base + QUEUE_NUM, QUEUE);
    if (version == 1) {
        mmio_write(base + QUEUE_ALIGN, PAGE);
        mmio_write(base + QUEUE_PFN, (u64)&queue / PAGE);
    } else {
        set64(QUEUE_DESC, queue.descriptor);
        set64(QUEUE_DRIVER, &queue.available);
        set64(QUEUE_DEVICE, &queue.used);
        mmio_write(base + QUEUE_READY, 1);
    }
    capacity = (u64)mmio_read(base + CONFIG + 4) << 32 | mmio_read(base + CONFIG);
    mmio_write(base + STATUS, ACKNOWLEDGE | DRIVER | DRIVER_OK | (version == 2 ? FEATURES_OK : 0));
    return NULL;
failed:
    mmio_write(base + STATUS, FAILED);
    return wrong;
}

u64 disk_sectors(void) { return capacity; }

void disk_close(void) { mmio_write(base + STATUS, 0); }

/* One request; false if the device reports an error or takes over 30 seconds. */
static bool transfer(u64 sector, void *to, u32 bytes)
{
    u16 done = queue.used.index;
    header.type = 0; /* VIRTIO_BLK_T_IN */
    header.sector = sector;
    request_status = 0xff;
    queue.descriptor[0] = (struct descriptor){ (u64)&header, sizeof header, NEXT, 1 };
    queue.descriptor[1] = (struct descriptor){ (u64)to, bytes, NEXT | WRITE, 2 };
    queue.descriptor[2] = (struct descriptor){ (u64)&request_status, 1, WRITE, 0 };
    queue.available.ring[queue.available.index % QUEUE] = 0;
    dsb();
    queue.available.index++;
    dsb();
    mmio_write(base + QUEUE_NOTIFY, 0);
    u64 start = time_now(), limit = time_hz() * 30;
    while (*(volatile u16 *)&queue.used.index == done)
        if (time_now() - start > limit)
            return false;
    dsb();
    mmio_write(base + INTERRUPT_ACK, mmio_read(base + INTERRUPT_STATUS));
    return *(volatile u8 *)&request_status == 0;
}

bool disk_read(u64 sector, void *to, u64 sectors)
{
    u64 most = size_max ? size_max / SECTOR : 2048;
    if (sector >= capacity || sectors > capacity - sector)
        return false;
    for (u8 *p = to; sectors;) {
        u64 n = sectors < most ? sectors : most;
        if (!transfer(sector, p, n * SECTOR))
            return false;
        sector += n;
        sectors -= n;
        p += n * SECTOR;
    }
    return true;
}
