#include "world/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return false;
    size_t n = strlen(text);
    bool good = write(fd, text, n) == (ssize_t)n;
    return close(fd) == 0 && good;
}

/* Without privileges: a user namespace in which we are root. */
static bool become_root(struct arena *arena)
{
    uid_t uid = getuid();
    gid_t gid = getgid();
    if (unshare(CLONE_NEWUSER) != 0) return false;
    return write_file("/proc/self/setgroups", "deny") &&
           write_file("/proc/self/uid_map", str_fmt(arena, "0 %u 1", (unsigned)uid).at) &&
           write_file("/proc/self/gid_map", str_fmt(arena, "0 %u 1", (unsigned)gid).at);
}

static bool loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    bool good = ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    close(fd);
    return good;
}

static bool resolver_ours(void)
{
    static const char text[] = "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n";
    char path[] = "/tmp/acmedrill-resolv-XXXXXX";
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return false;
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) return false;
    bool good = write(fd, text, sizeof text - 1) == (ssize_t)sizeof text - 1 && fchmod(fd, 0644) == 0 &&
                mount(path, "/etc/resolv.conf", NULL, MS_BIND, NULL) == 0;
    int saved = errno;
    close(fd);
    unlink(path); /* the mount keeps the file */
    errno = saved;
    return good;
}

enum err netns_enter(struct arena *arena, struct str *reterr_why)
{
    const char *tried = "create a user namespace";
    if (geteuid() != 0 && !become_root(arena)) goto refused;
    tried = "create network and mount namespaces";
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) goto refused;
    tried = "bring up its loopback";
    if (!loopback_up()) goto refused;
    tried = "lay a resolv.conf of its own over /etc/resolv.conf";
    if (!resolver_ours()) goto refused;
    return OK;
refused:
    *reterr_why = str_fmt(arena, "could not %s: %s", tried, strerror(errno));
    return ERR_REFUSED;
}
