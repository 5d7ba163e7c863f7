# The sandbox image, in flavours: core, full, full-r. For the legacy builder and BuildKit alike, so without mounts and heredocs. The legacy builder builds
# every stage above its target, hence the order: what a flavour does not need comes below it. Build arguments:
#   BASE              a Debian 13 image; scripts/base-image.sh makes one where no image registry can be reached
#   VERSION, PROTOCOL hash of what the image is built from; the version of the protocol that its supervisor speaks
#   UV_DEFAULT_INDEX, PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, HTTP_PROXY, HTTPS_PROXY, NO_PROXY   as on the host, only where set there
# An index address may hold a password. It shows in the history of the builder stages on the machine that builds, and never in a flavour.
ARG BASE=debian:trixie-slim

# --- What every flavour has below its packages.
FROM ${BASE} AS base
# Authorities that the host trusts beyond the usual; empty in a checkout. Trusted before apt, where the base can already, since a mirror may need them.
COPY certs/ /usr/local/share/ca-certificates/
RUN if command -v update-ca-certificates; then update-ca-certificates; fi \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      ca-certificates python3 procps ripgrep fontconfig fonts-dejavu-core fonts-wqy-microhei \
 && chmod -R a+rX /usr/local/share/ca-certificates \
 && update-ca-certificates \
 && find /usr/share/doc -type f ! -name copyright -delete \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/* /usr/share/man/* /usr/share/locale/* /usr/share/doc-base
# A name for uid 1000, or getpass.getuser() fails. The workspace keeps the mode of its mount point, whatever the mount asks for; so does the volume of a package cache. /mnt/data is where other code interpreters keep files.
RUN echo 'user:x:1000:1000:user:/home/user:/bin/bash' >> /etc/passwd \
 && echo 'user:x:1000:' >> /etc/group \
 && mkdir -p /home/user /mnt/shared /var/cache/kernelbox \
 && chown 1000:1000 /home/user /var/cache/kernelbox \
 && chmod 0700 /home/user /var/cache/kernelbox \
 && ln -s /home/user /mnt/data
COPY sandbox/package-manager.sh /usr/local/bin/pip
RUN ln -s pip /usr/local/bin/pip3 && ln -s pip /usr/local/bin/npm
ENV LANG=C.UTF-8 PATH=/opt/py/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# --- The egress proxy's squid without what else its package brings (perl, systemd, helpers): a sixth of the size.
FROM base AS squid
COPY sandbox/collect-squid.sh /opt/
RUN find /usr/lib -name '*.so*' -type f > /opt/libraries-before \
 && apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends squid \
 && sh /opt/collect-squid.sh /opt/squid /opt/libraries-before

# --- Tools that install. No flavour is made from this stage, so that neither they nor index settings reach one.
FROM base AS builder
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-venv
ARG UV_DEFAULT_INDEX
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_RETRIES=3 PIP_TIMEOUT=60 UV_HTTP_TIMEOUT=60 UV_LINK_MODE=copy UV_NO_CACHE=1
COPY sandbox/requirements/build.txt /opt/build.txt
RUN python3 -m venv /opt/uv \
 && export PIP_INDEX_URL="${PIP_INDEX_URL:-$UV_DEFAULT_INDEX}" \
 && if [ -z "$PIP_INDEX_URL" ]; then unset PIP_INDEX_URL; fi \
 && /opt/uv/bin/pip install --no-cache-dir --quiet --require-hashes --requirement /opt/build.txt
COPY sandbox/install-packages.sh sandbox/trim-packages.sh /opt/

# --- pip, for the containers that fetch packages: in a folder of its own, which is on nobody's path. Windows' launchers stay behind.
FROM builder AS fetcher-packages
ARG UV_DEFAULT_INDEX
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
RUN python3 -m venv --without-pip /opt/fetcher
COPY sandbox/requirements/fetcher.txt /opt/fetcher.txt
RUN sh /opt/install-packages.sh /opt/fetcher /opt/fetcher.txt \
 && mv /opt/fetcher/lib/python3.13/site-packages /opt/pip \
 && find /opt/pip -name '*.exe' -delete \
 && /opt/fetcher/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/pip

FROM builder AS core-packages
ARG UV_DEFAULT_INDEX
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
RUN python3 -m venv --without-pip /opt/py
COPY sandbox/requirements/core.txt /opt/core.txt
COPY sandbox/site/ /opt/py/lib/python3.13/site-packages/
RUN sh /opt/install-packages.sh /opt/py /opt/core.txt && sh /opt/trim-packages.sh /opt/py
# The font cache is made here once: a read-only root could never keep it, and making it costs the first plot a second.
COPY sandbox/matplotlibrc /opt/mpl/matplotlibrc
RUN MPLCONFIGDIR=/opt/mpl /opt/py/bin/python -c 'import matplotlib.pyplot' && rm -f /opt/mpl/*.lock && chmod -R a+rX /opt/mpl

# --- core. Our own code comes after the packages, so that a change of it costs seconds.
FROM base AS core
COPY --from=core-packages /opt/py /opt/py
COPY --from=core-packages /opt/mpl /opt/mpl
COPY --from=squid /opt/squid /opt/squid
COPY --from=fetcher-packages /opt/pip /opt/pip
COPY sandbox/kernelbox /opt/py/lib/python3.13/site-packages/kernelbox
RUN chmod -R a+rX /opt/py/lib/python3.13/site-packages/kernelbox \
 && /opt/py/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/py/lib/python3.13/site-packages/kernelbox
USER 1000:1000
WORKDIR /
ENTRYPOINT ["/opt/py/bin/python", "-I", "-m", "kernelbox.supervisor"]
ARG PROTOCOL=1
ARG VERSION=unknown
ENV KERNELBOX_IMAGE_VERSION=${VERSION} KERNELBOX_LANGUAGES=python,bash
LABEL kernelbox.protocol=${PROTOCOL} kernelbox.version=${VERSION} kernelbox.flavour=core kernelbox.languages=python,bash

# --- full
FROM core-packages AS full-packages
ARG UV_DEFAULT_INDEX
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
COPY sandbox/requirements/full.txt /opt/full.txt
RUN sh /opt/install-packages.sh /opt/py /opt/full.txt && sh /opt/trim-packages.sh /opt/py

FROM base AS full
COPY --from=full-packages /opt/py /opt/py
COPY --from=full-packages /opt/mpl /opt/mpl
COPY --from=squid /opt/squid /opt/squid
COPY --from=fetcher-packages /opt/pip /opt/pip
COPY sandbox/kernelbox /opt/py/lib/python3.13/site-packages/kernelbox
RUN chmod -R a+rX /opt/py/lib/python3.13/site-packages/kernelbox \
 && /opt/py/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/py/lib/python3.13/site-packages/kernelbox
USER 1000:1000
WORKDIR /
ENTRYPOINT ["/opt/py/bin/python", "-I", "-m", "kernelbox.supervisor"]
ARG PROTOCOL=1
ARG VERSION=unknown
ENV KERNELBOX_IMAGE_VERSION=${VERSION} KERNELBOX_LANGUAGES=python,javascript,typescript,bash
LABEL kernelbox.protocol=${PROTOCOL} kernelbox.version=${VERSION} kernelbox.flavour=full kernelbox.languages=python,javascript,typescript,bash

# --- full-r
FROM base AS base-r
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      r-base-core r-cran-irkernel r-cran-ggplot2 r-cran-dplyr r-cran-tidyr r-cran-readr \
 && find /usr/share/doc -type f ! -name copyright -delete \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/* /usr/share/man/* /usr/share/locale/* /usr/share/doc-base

FROM base-r AS full-r
COPY --from=full-packages /opt/py /opt/py
COPY --from=full-packages /opt/mpl /opt/mpl
COPY --from=squid /opt/squid /opt/squid
COPY --from=fetcher-packages /opt/pip /opt/pip
COPY sandbox/kernelbox /opt/py/lib/python3.13/site-packages/kernelbox
RUN chmod -R a+rX /opt/py/lib/python3.13/site-packages/kernelbox \
 && /opt/py/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/py/lib/python3.13/site-packages/kernelbox
USER 1000:1000
WORKDIR /
ENTRYPOINT ["/opt/py/bin/python", "-I", "-m", "kernelbox.supervisor"]
ARG PROTOCOL=1
ARG VERSION=unknown
ENV KERNELBOX_IMAGE_VERSION=${VERSION} KERNELBOX_LANGUAGES=python,javascript,typescript,bash,r
LABEL kernelbox.protocol=${PROTOCOL} kernelbox.version=${VERSION} kernelbox.flavour=full-r kernelbox.languages=python,javascript,typescript,bash,r
