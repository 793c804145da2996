FROM scratch
COPY root/ /
COPY --chown=999:999 data/ /data/
USER 999:999
EXPOSE 6379
VOLUME ["/data"]
WORKDIR /data
CMD ["redis-server"]
