#include "world/place.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

enum { BACKLOG = 512 };

enum err place_at(const char *address, int port, struct place *ret)
{
    struct place place = {.n = 0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&place.at;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&place.at;
    if (!address) address = "127.0.0.1";
    if (port < 0 || port > 65535) return ERR_MALFORMED;
    if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        place.n = sizeof *v4;
    } else if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        place.n = sizeof *v6;
    } else {
        return ERR_MALFORMED;
    }
    *ret = place;
    return OK;
}

bool place_read(struct str text, struct place *ret)
{
    char host[INET6_ADDRSTRLEN];
    struct str address, port;
    int64_t number;
    bool bracketed = str_starts(text, "[");
    if (bracketed) text = (struct str){text.at + 1, text.n - 1};
    if (!str_cut(text, bracketed ? ']' : ':', &address, &port)) return false;
    if (bracketed && !str_starts(port, ":")) return false;
    if (bracketed) port = (struct str){port.at + 1, port.n - 1};
    if (!str_int(port, &number) || number < 1 || number > 65535 || address.n == 0 || address.n >= sizeof host)
        return false;
    memcpy(host, address.at, address.n);
    host[address.n] = 0;
    return (strchr(host, ':') != NULL) == bracketed && place_at(host, (int)number, ret) == OK;
}

int place_port(const struct place *place)
{
    return ntohs(place->at.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&place->at)->sin6_port
                                                 : ((const struct sockaddr_in *)&place->at)->sin_port);
}

int place_connect(const struct place *place, int socket_type)
{
    int fd = socket(place->at.ss_family, socket_type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    int error = fd >= FD_SETSIZE ? EMFILE : 0;
    if (!error && connect(fd, (const struct sockaddr *)&place->at, place->n) != 0 && errno != EINPROGRESS)
        error = errno;
    if (!error) return fd;
    close(fd);
    errno = error;
    return -1;
}

enum err place_bind(struct place *place, int type, int *ret_fd)
{
    int one = 1, fd = socket(place->at.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t n = place->n;
    if (fd < 0) return ERR_IO;
    if (type == SOCK_STREAM) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd >= FD_SETSIZE || bind(fd, (struct sockaddr *)&place->at, place->n) != 0 ||
        (type == SOCK_STREAM && listen(fd, BACKLOG) != 0) || getsockname(fd, (struct sockaddr *)&place->at, &n) != 0) {
        int kept = fd >= FD_SETSIZE ? EMFILE : errno;
        close(fd);
        errno = kept;
        return ERR_IO;
    }
    *ret_fd = fd;
    return OK;
}
