#include "world/place.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

bool place_read(struct str text, struct place *ret)
{
    char host[INET6_ADDRSTRLEN];
    struct str address, port;
    int64_t number;
    bool bracketed = str_starts(text, "[");
    *ret = (struct place){0};
    if (bracketed) text = (struct str){text.at + 1, text.n - 1};
    if (!str_cut(text, bracketed ? ']' : ':', &address, &port)) return false;
    if (bracketed && !str_starts(port, ":")) return false;
    if (bracketed) port = (struct str){port.at + 1, port.n - 1};
    if (!str_int(port, &number) || number < 1 || number > 65535 || address.n == 0 || address.n >= sizeof host)
        return false;
    memcpy(host, address.at, address.n);
    host[address.n] = 0;
    if (bracketed) {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ret->address;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)number);
        ret->n = sizeof *v6;
        return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
    }
    struct sockaddr_in *v4 = (struct sockaddr_in *)&ret->address;
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)number);
    ret->n = sizeof *v4;
    return inet_pton(AF_INET, host, &v4->sin_addr) == 1;
}

int place_connect(const struct place *place, int socket_type)
{
    int fd = socket(place->address.ss_family, socket_type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    int error = fd >= FD_SETSIZE ? EMFILE : 0;
    if (!error && connect(fd, (const struct sockaddr *)&place->address, place->n) != 0 && errno != EINPROGRESS)
        error = errno;
    if (!error) return fd;
    close(fd);
    errno = error;
    return -1;
}
