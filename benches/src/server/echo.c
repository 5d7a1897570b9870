/*
 * The socket's limit: batches of datagrams returned as they came, and nothing else; with "info" from the address that was asked,
 * on all of the machine's.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BATCH 64
#define OCTETS 1472

int main(int argc, char **argv)
{
	static char data[BATCH][OCTETS];
	static struct sockaddr_in names[BATCH];
	static struct iovec vectors[BATCH];
	static struct mmsghdr messages[BATCH];
	static char infos[BATCH][CMSG_SPACE(sizeof(struct in_pktinfo))];
	int info = argc > 3 && !strcmp(argv[3], "info"), many = argc > 3, one = 1, size = 4 << 20, fd, i, n;
	struct sockaddr_in self = { .sin_family = AF_INET };

	if (argc < 3)
		return 2;
	if (!info)
		inet_pton(AF_INET, argv[1], &self.sin_addr);
	self.sin_port = htons(atoi(argv[2]));
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	if (info)
		setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&self, sizeof self)) {
		perror("bind");
		return 1;
	}
	for (i = 0; i < BATCH; i++) {
		messages[i].msg_hdr.msg_name = &names[i];
		messages[i].msg_hdr.msg_iov = &vectors[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	while (!many) {
		socklen_t len = sizeof names[0];
		ssize_t octets = recvfrom(fd, data[0], OCTETS, 0, (struct sockaddr *)&names[0], &len);
		if (octets >= 0)
			sendto(fd, data[0], octets, 0, (struct sockaddr *)&names[0], len);
	}
	for (;;) {
		for (i = 0; i < BATCH; i++) {
			vectors[i].iov_base = data[i];
			vectors[i].iov_len = OCTETS;
			messages[i].msg_hdr.msg_namelen = sizeof names[i];
			messages[i].msg_hdr.msg_control = info ? infos[i] : NULL;
			messages[i].msg_hdr.msg_controllen = info ? sizeof infos[i] : 0;
		}
		n = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
		for (i = 0; i < n; i++) {
			vectors[i].iov_len = messages[i].msg_len;
			/* The way back is the kernel's to choose. */
			if (info)
				((struct in_pktinfo *)CMSG_DATA((struct cmsghdr *)infos[i]))->ipi_ifindex = 0;
		}
		for (i = 0; i < n;) {
			int sent = sendmmsg(fd, messages + i, n - i, 0);
			i += sent > 0 ? sent : 1;
		}
	}
}
